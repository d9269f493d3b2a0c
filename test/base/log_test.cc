// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

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

std::string drain(const Fd& fd) {
  std::string text;
  char chunk[4096];
  for (ssize_t n; (n = read(fd.get(), chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<size_t>(n));
  return text;
}

TEST(Log, DropsLinesThatNobodyReadsAndSaysSoLater) {
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
