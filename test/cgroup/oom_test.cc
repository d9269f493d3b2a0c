// SPDX-License-Identifier: Apache-2.0
#include "cgroup/oom.h"

#include <poll.h>
#include <time.h>

#include "async/sync.h"
#include "cgroup/oom_v1.h"
#include "cgroup/oom_v2.h"
#include "own_groups.h"
#include "support/eventually.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kTooMuch = 64;  // megabytes

class OomTest : public test::OwnGroups {
 protected:
  OomTest() : test::OwnGroups("memory") {}
  void TearDown() override {
    OwnGroups::TearDown();
    EXPECT_EQ(loop_.close(), 0) << "a handle was leaked";
  }

  void limit(const std::string& group, std::size_t megabytes) {
    std::string bytes = std::to_string(megabytes << 20);
    if (cgroup_version() == CgroupVersion::v2) {
      write_file(group + "/memory.max", bytes, 0);
      if (std::filesystem::exists(group + "/memory.swap.max"))
        write_file(group + "/memory.swap.max", "0", 0);
    } else {
      write_file(group + "/memory.limit_in_bytes", bytes, 0);
    }
  }
  // v2: gives the children of outer_ the controller; outer_ cannot have processes then.
  void pass_memory_down() {
    if (cgroup_version() == CgroupVersion::v2)
      write_file(outer_ + "/cgroup.subtree_control", "+memory", 0);
  }
  // A cgroup beside inner_; both can have limits and processes.
  std::string make_sibling() {
    const std::string other = outer_ + "/other";
    EXPECT_EQ(::mkdir(other.c_str(), 0755), 0);
    pass_memory_down();
    return other;
  }
  bool reported(OomWatch& watch, Duration limit = test::kTestTimeout) {
    return loop_.run(within(loop_, limit, watch.next()));
  }
  double busy_milliseconds(OomWatch& watch) {
    timespec begin{}, end{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    EXPECT_FALSE(reported(watch, 100ms));
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return static_cast<double>(end.tv_sec - begin.tv_sec) * 1e3 +
           static_cast<double>(end.tv_nsec - begin.tv_nsec) / 1e6;
  }

  Loop loop_;
};

TEST_F(OomTest, AKillIsReportedOnce) {
  limit(outer_, 16);
  pid_t pid = process_in(outer_, kTooMuch);
  OomWatch watch(loop_, Cgroup::of_process(pid));
  EXPECT_FALSE(watch.poll());
  go();
  EXPECT_TRUE(reported(watch));
  EXPECT_TRUE(was_killed(pid));
  EXPECT_FALSE(watch.poll());
  EXPECT_LT(busy_milliseconds(watch), 10 * test::slowness());
}

TEST_F(OomTest, EachKillIsReported) {
  limit(outer_, 16);
  pid_t first = process_in(outer_);
  OomWatch watch(loop_, Cgroup::of_process(first));
  for (int round = 0; round < 3; ++round) {
    pid_t pid = process_in(outer_, kTooMuch);
    go();
    EXPECT_TRUE(reported(watch)) << round;
    EXPECT_TRUE(was_killed(pid));
  }
}

// The order of the OOM event and the exit event depends on it.
TEST_F(OomTest, AKillIsVisibleOnceTheProcessIsReaped) {
  limit(outer_, 16);
  for (int round = 0; round < 10; ++round) {
    pid_t pid = process_in(outer_, kTooMuch);
    OomWatch watch(loop_, Cgroup::of_process(pid));
    go();
    EXPECT_TRUE(was_killed(pid));
    EXPECT_TRUE(watch.poll());
    EXPECT_FALSE(watch.poll());
    EXPECT_FALSE(reported(watch, 20ms)) << "it was reported";
  }
}

TEST_F(OomTest, WhatWasReportedToOneIsNotReportedToTheOther) {
  limit(outer_, 16);
  pid_t pid = process_in(outer_, kTooMuch);
  OomWatch watch(loop_, Cgroup::of_process(pid));
  TaskSet waiting;
  waiting.spawn(watch.next(), "next");
  go();
  EXPECT_TRUE(was_killed(pid));
  bool looked = watch.poll();
  loop_.run(within(loop_, looked ? 50ms : test::kTestTimeout, waiting.wait_empty()));
  EXPECT_NE(looked, waiting.empty());
}

TEST_F(OomTest, KillsInGroupsBelowCount) {
  limit(outer_, 16);
  pid_t keeper = process_in(inner_);
  pass_memory_down();
  std::string directory = Cgroup::of_process(keeper).directory("memory");
  ASSERT_EQ(directory, inner_);
  // The container is the outer group; its first process was there before it moved.
  Cgroup container = Cgroup::parse(cgroup_version(),
                                   (cgroup_version() == CgroupVersion::v2 ? "0::/" : "4:memory:/") +
                                       outer_.substr(outer_.rfind('/') + 1),
                                   read_file("/proc/self/mountinfo").value());
  ASSERT_EQ(container.directory("memory"), outer_);
  OomWatch watch(loop_, container);
  pid_t pid = process_in(inner_, kTooMuch);
  go();
  EXPECT_TRUE(reported(watch));
  EXPECT_TRUE(was_killed(pid));
}

// A pod's limit: the kernel notifies all its containers and kills in one of them.
TEST_F(OomTest, KillsInOtherGroupsOfThePodDoNotCount) {
  const std::string other = make_sibling();
  limit(outer_, 16);
  pid_t quiet = process_in(inner_), greedy = process_in(other, kTooMuch);
  {
    OomWatch watch(loop_, Cgroup::of_process(quiet));
    OomWatch watch_greedy(loop_, Cgroup::of_process(greedy));
    go();
    EXPECT_TRUE(reported(watch_greedy));
    EXPECT_TRUE(was_killed(greedy));
    EXPECT_FALSE(watch.poll());
    EXPECT_FALSE(reported(watch, 1500ms));
    EXPECT_LT(busy_milliseconds(watch), 10 * test::slowness());
  }
  ::rmdir(other.c_str());
}

// systemd removes a scope as soon as it is empty.
TEST_F(OomTest, AKillInAGroupThatIsGoneAlreadyIsReported) {
  pass_memory_down();
  for (int round = 0; round < 10; ++round) {
    limit(inner_, 16);
    pid_t pid = process_in(inner_, kTooMuch);
    OomWatch watch(loop_, Cgroup::of_process(pid));
    go();
    EXPECT_TRUE(was_killed(pid));
    remove_group(inner_);
    // v1: the kernel has signalled the eventfd, which stays readable.
    const bool unified = cgroup_version() == CgroupVersion::v2;
    const bool is_told = unified ? watch.poll_last(true) : reported(watch);
    EXPECT_TRUE(is_told) << round;
    EXPECT_FALSE(watch.poll_last(true)) << "it was reported";
    EXPECT_FALSE(reported(watch, 20ms)) << "it was reported";
    ASSERT_EQ(::mkdir(inner_.c_str(), 0755), 0);
  }
}

// The ancestors of a removed cgroup count the kills in all their descendants (v1: in none).
TEST_F(OomTest, AKillInAGroupBesideOneThatIsGoneDoesNotCountForIt) {
  const std::string other = make_sibling();
  limit(other, 16);
  const pid_t quiet = process_in(inner_);
  OomWatch watch(loop_, Cgroup::of_process(quiet));
  const pid_t greedy = process_in(other, kTooMuch);
  go();
  EXPECT_TRUE(was_killed(greedy));
  end(quiet);
  remove_group(inner_);
  EXPECT_FALSE(watch.poll_last(false)) << "the SIGKILL is explained";
  remove_group(other);
  ASSERT_EQ(::mkdir(inner_.c_str(), 0755), 0);
}

// The kernel notifies the ancestors of each event.
TEST_F(OomTest, AGroupAtItsLimitDoesNotWakeItsSiblings) {
  const std::string other = make_sibling();
  limit(other, 16);
  const Cgroup quiet = Cgroup::of_process(process_in(inner_));
  const bool unified = cgroup_version() == CgroupVersion::v2;
  std::unique_ptr<OomWatch::Source> source = unified ? open_oom_v2(quiet) : open_oom_v1(quiet);
  const pid_t greedy = process_in(other, kTooMuch);
  go();
  EXPECT_TRUE(was_killed(greedy));
  pollfd news{source->descriptor(), POLLIN, 0};
  EXPECT_EQ(::poll(&news, 1, 500), 0);
  EXPECT_FALSE(source->poll());
  remove_group(other);
}

TEST_F(OomTest, OtherExitsAreNotOomKills) {
  pid_t pid = process_in(outer_);
  OomWatch watch(loop_, Cgroup::of_process(pid));
  end(pid);
  EXPECT_FALSE(watch.poll());
  EXPECT_FALSE(reported(watch, 20ms));
  remove_groups();
  EXPECT_FALSE(watch.poll());
  EXPECT_LT(busy_milliseconds(watch), 10 * test::slowness()) << "after the removal of the cgroup";
  EXPECT_FALSE(watch.poll());
}

TEST_F(OomTest, TheWatchMayOutliveTheGroupAndBeDestroyed) {
  pid_t pid = process_in(outer_);
  OomWatch watch(loop_, Cgroup::of_process(pid));
  TaskSet waiting;
  waiting.spawn(watch.next(), "next");
  end(pid);
  remove_groups();
}

TEST_F(OomTest, WithoutAGroupThereIsNothingToWatch) {
  try {
    OomWatch watch(loop_, Cgroup());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_found) << error.what();
  }
  Cgroup gone = Cgroup::of_process(process_in(outer_));
  end(children_.back());
  remove_groups();
  EXPECT_THROW(OomWatch(loop_, gone), Error);
}

TEST(OomV2, AScopeIsCountedByItsNearestAncestorThatIsNotAScope) {
  EXPECT_EQ(non_scope_ancestor("/g/kubepods.slice/pod.slice/c.scope"),
            "/g/kubepods.slice/pod.slice");
  EXPECT_EQ(non_scope_ancestor("/g/system.slice/c.scope/container"), "/g/system.slice");
  EXPECT_EQ(non_scope_ancestor("/g/default/c1"), "/g/default");
}

}  // namespace
}  // namespace thinshim
