// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "support/dying_process.h"

namespace thinshim {
namespace {

TEST(Proc, StatIsReadBehindAnyName) {
  for (const char* name : {"sh", "a b", "x) Z 1 (", "(", ")", "", "two\nlines"}) {
    const std::string stat = std::string("42 (") + name + ") S 1 42 7 0 -1 4194304 10 0\n";
    EXPECT_EQ(stat_field(stat, 3), "S") << name;
    EXPECT_EQ(stat_field(stat, 4), "1") << name;
    EXPECT_EQ(stat_field(stat, 9), "4194304") << name;
    EXPECT_EQ(stat_field(stat, 40), "") << name;
  }
  EXPECT_EQ(stat_field("", 3), "");
  EXPECT_EQ(stat_field("42 (sh", 3), "");
}

TEST(Proc, StatusIsReadBehindAnyName) {
  const std::string status =
      "Name:\tSigPnd:\tffff\nState:\tS (sleeping)\nSigPnd:\t0000000000000100\n";
  EXPECT_EQ(status_field(status, "SigPnd"), "0000000000000100");
  EXPECT_EQ(status_field(status, "State"), "S");
  EXPECT_EQ(status_field(status, "ShdPnd"), "");
  EXPECT_EQ(status_field("", "State"), "");
}

TEST(Proc, KnowsWhatBecomesOfAProcess) {
  EXPECT_EQ(fate_of(::getpid()), Fate::lives);
  test::DyingProcess process;
  EXPECT_EQ(fate_of(process.pid()), Fate::ending);
  process.end();
  EXPECT_EQ(fate_of(process.pid()), Fate::gone) << "a zombie";
  ::waitpid(process.pid(), nullptr, 0);
  EXPECT_EQ(fate_of(process.pid()), Fate::gone);
}

TEST(Proc, KnowsNothingOfAProcessThatItCannotRead) {
  rlimit limit{}, none{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  none.rlim_max = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &none);
  const Fate fate = fate_of(::getpid());
  EXPECT_THROW(read_of_process(::getpid(), "stat"), Error);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(fate, Fate::unknown);
  EXPECT_NE(read_of_process(::getpid(), "stat"), std::nullopt);
  EXPECT_EQ(read_of_process(-1, "stat"), std::nullopt);
}

TEST(Proc, KnowsWhoseChildAProcessIs) {
  const test::DyingProcess process;
  EXPECT_EQ(parent_of(process.pid()), ::getpid());
  EXPECT_EQ(parent_of(-1), 0);
}

}  // namespace
}  // namespace thinshim
