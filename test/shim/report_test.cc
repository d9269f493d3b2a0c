// SPDX-License-Identifier: Apache-2.0
#include "shim/report.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/fd.h"
#include "base/log.h"
#include "support/eventually.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

TEST(ReportLines, AreOneIfItFits) {
  EXPECT_EQ(report_lines("{}", 32), Lines{"{}"});
  EXPECT_EQ(report_lines(std::string(31, 'x'), 32), Lines{std::string(31, 'x')});
}

TEST(ReportLines, AreNumberedIfItDoesNotFit) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += std::to_string(i) + ",";
  for (std::size_t size : {32u, 33u, 100u, 1000u, 3889u, 3890u}) {
    const std::string part = text.substr(0, size);
    const Lines lines = report_lines(part, 32);
    std::string together;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string number = std::to_string(i + 1) + "/" + std::to_string(lines.size()) + " ";
      ASSERT_TRUE(lines[i].starts_with(number)) << lines[i];
      EXPECT_LT(lines[i].size(), 32u);
      together += lines[i].substr(number.size());
    }
    EXPECT_EQ(together, part);
  }
}

class ReporterTest : public testing::Test {
 protected:
  ReporterTest() {
    log::set_sink(pipe.write.duplicate());
    set_nonblocking(pipe.read.get(), true);
  }
  ~ReporterTest() override {
    log::set_sink(Fd());
    log::set_level(log::Level::info);
  }
  static Task<> pause(Loop& loop, Duration time) { co_await sleep(loop, time); }
  void read_some() {
    char chunk[16384];
    const ssize_t n = ::read(pipe.read.get(), chunk, sizeof chunk);
    got.append(chunk, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  }
  std::size_t reports() const {
    return static_cast<std::size_t>(std::count(got.begin(), got.end(), '}'));
  }
  // The lines without their numbers, joined.
  std::string together() const {
    std::istringstream lines(got);
    std::string text;
    for (std::string line; std::getline(lines, line);) text += line.substr(line.find(' ') + 1);
    return text;
  }

  Pipe pipe = make_pipe();
  std::string got;
  Loop loop;
};

// The report of a pod with many processes is larger than a fifo.
TEST_F(ReporterTest, WritesAReportOfAnySize) {
  const std::string text = std::string(200'000, 'x') + "}";
  Reporter reporter(loop, [&] { return text; });
  for (int i = 0; i < 3; ++i) reporter.request();
  loop.run(pause(loop, 50ms));
  const auto end = test::Clock::now() + test::kTestTimeout;
  while (reports() < 2 && test::Clock::now() < end) {
    read_some();
    loop.run(pause(loop, 1ms));
  }
  EXPECT_EQ(together(), text + text) << "the one in progress, and one for all requests meanwhile";
}

TEST_F(ReporterTest, TimesOutIfTheLogIsNotRead) {
  int calls = 0;
  Reporter reporter(loop, [&] { return ++calls, std::string(200'000, 'x'); });
  reporter.request();
  loop.run(pause(loop, 1ms));
  reporter.request();
  const auto end = test::Clock::now() + test::kTestTimeout;
  while (calls < 2 && test::Clock::now() < end) loop.run(pause(loop, 10ms));
  EXPECT_EQ(calls, 2) << "the first one timed out";
}

}  // namespace
}  // namespace thinshim
