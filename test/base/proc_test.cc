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

TEST(Proc, ReadsTheStateOfAProcess) {
  EXPECT_EQ(process_state(::getpid()), ProcessState::alive);
  test::DyingProcess process;
  EXPECT_EQ(process_state(process.pid()), ProcessState::exiting);
  process.end();
  EXPECT_EQ(process_state(process.pid()), ProcessState::exited) << "a zombie";
  ::waitpid(process.pid(), nullptr, 0);
  EXPECT_EQ(process_state(process.pid()), ProcessState::exited);
}

TEST(Proc, StateIsUnknownIfProcCannotBeRead) {
  rlimit limit{}, none{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  none.rlim_max = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &none);
  const ProcessState state = process_state(::getpid());
  EXPECT_THROW(read_proc_file(::getpid(), "stat"), Error);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(state, ProcessState::unknown);
  EXPECT_NE(read_proc_file(::getpid(), "stat"), std::nullopt);
  EXPECT_EQ(read_proc_file(-1, "stat"), std::nullopt);
}

TEST(Proc, ReadsTheParentOfAProcess) {
  const test::DyingProcess process;
  EXPECT_EQ(parent_of(process.pid()), ::getpid());
  EXPECT_EQ(parent_of(-1), 0);
}

}  // namespace
}  // namespace thinshim
