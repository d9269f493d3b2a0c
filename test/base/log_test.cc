// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "base/error.h"

namespace thinshim {
namespace {

TEST(Log, WritesLogrusTextLines) {
  EXPECT_EQ(
      log::format(log::Level::info, "starting", {{"id", "c1"}, {"path", "/a b"}}, 0, 123),
      "time=\"1970-01-01T00:00:00.000000123Z\" level=info msg=starting id=c1 path=\"/a b\"\n");
  EXPECT_EQ(log::format(log::Level::warning, "a\"b\n", {{"empty", ""}}, 86400, 0),
            "time=\"1970-01-02T00:00:00.000000000Z\" level=warning msg=\"a\\\"b\\n\" empty=\"\"\n");
}

TEST(Log, LinesAreOfPrintableAscii) {
  EXPECT_EQ(log::format(log::Level::info, "\xc3\xa4\r\t\x01", {{"a", "\xff"}}, 0, 0),
            "time=\"1970-01-01T00:00:00.000000000Z\" level=info msg=\"\\xc3\\xa4\\r\\t\\x01\" "
            "a=\"\\xff\"\n");
}

// The beginning of each line.
const std::string kHead = "time=\"1970-01-01T00:00:00.000000000Z\" level=info msg=";
std::size_t length_of(std::string_view message, log::Fields fields) {
  return log::format(log::Level::info, message, fields, 0, 0).size();
}

TEST(Log, LinesAreNeverLongerThanPipeBuf) {
  static_assert(log::kLongestLine <= PIPE_BUF);
  const std::size_t room = log::kLongestLine - kHead.size() - 1;
  for (std::size_t size :
       {std::size_t(0), std::size_t(1), room - 1, room, room + 1, room + 9, std::size_t(100'000)}) {
    const std::string bare(size, 'x');
    EXPECT_EQ(length_of(bare, {}),
              std::min(size + (size ? 0 : 2) + kHead.size() + 1, log::kLongestLine))
        << size;
    for (const char* piece : {"x y", "\n", "\x01", "\xc3\xa4", "\"", "\\"}) {
      std::string text;
      while (text.size() < size) text += piece;
      EXPECT_LE(length_of(text, {}), log::kLongestLine);
      EXPECT_LE(length_of(text, {{"a", text}, {"error", text}, {"b", bare}}), log::kLongestLine);
    }
  }
}

TEST(Log, TruncatesValuesOnly) {
  const std::string bare(5000, 'x'), odd(5000, '\n');
  const std::string line =
      log::format(log::Level::info, bare, {{"a", "1"}, {"error", odd}, {"b", "2 3"}}, 0, 0);
  EXPECT_EQ(line.find(kHead + "xxx"), 0u);
  EXPECT_NE(line.find("xxx... a=1 error=\"\\n\\n"), std::string::npos) << line;
  EXPECT_NE(line.find("\\n\\n...\" b=\"2 3\"\n"), std::string::npos) << line;
  EXPECT_GT(line.size(), log::kLongestLine - 100);
}

std::string drain(const Fd& fd) {
  std::string text;
  char chunk[4096];
  for (ssize_t n; (n = read(fd.get(), chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<size_t>(n));
  return text;
}

TEST(Log, CountsLinesDroppedWhileTheFifoIsFull) {
  Pipe pipe = make_pipe(O_NONBLOCK);
  log::set_sink(std::move(pipe.write));
  for (int i = 0; i < 5000; ++i) log::info("a line that fills the pipe sooner or later");
  drain(pipe.read);
  log::info("after");
  std::string text = drain(pipe.read);
  EXPECT_NE(text.find("log lines were lost"), std::string::npos) << text;
  EXPECT_NE(text.find("msg=after"), std::string::npos) << text;
  log::set_sink(Fd());
}

// The shims of other containers write to the same fifo.
TEST(Log, WritesLinesAsAWhole) {
  Pipe pipe = make_pipe(O_NONBLOCK);
  ::fcntl(pipe.write.get(), F_SETPIPE_SZ, 8192);
  log::set_sink(pipe.write.duplicate());
  const std::string fill(6000, 'x');
  ASSERT_EQ(::write(pipe.write.get(), fill.data(), fill.size()), 6000);
  log::info("lost", {{"error", std::string(8000, 'y')}});
  EXPECT_EQ(drain(pipe.read), fill) << "all of a line or nothing";
  log::info("next", {{"error", std::string(8000, 'y')}});
  const std::string text = drain(pipe.read);
  EXPECT_NE(text.find("lines=1\n"), std::string::npos) << text;
  EXPECT_EQ(text.substr(text.size() - 5), "y...\n");
  log::set_sink(Fd());
}

TEST(Log, KeepsToItsLevel) {
  Pipe pipe = make_pipe(O_NONBLOCK);
  log::set_sink(std::move(pipe.write));
  log::debug("hidden");
  log::set_level(log::parse_level("debug"));
  log::debug("shown");
  log::set_level(log::Level::info);
  std::string text = drain(pipe.read);
  EXPECT_EQ(text.find("hidden"), std::string::npos);
  EXPECT_NE(text.find("shown"), std::string::npos);
  EXPECT_THROW(log::parse_level("loud"), Error);
  log::set_sink(Fd());
}

}  // namespace
}  // namespace thinshim
