// SPDX-License-Identifier: Apache-2.0
// Cgroups of a test in a hierarchy of this machine, with processes in them. The test removes them
// at its end. Needs root.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "cgroup/cgroup.h"

namespace thinshim::test {

class OwnGroups : public testing::Test {
 protected:
  // In the hierarchy of this v1 controller; ignored with v2.
  explicit OwnGroups(const std::string& controller) {
    bool unified = cgroup_version() == CgroupVersion::v2;
    if (unified && controller == "memory")
      write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory", 0);
    outer_ = (unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller) +
             "/thinshim-cgroup-test-" + std::to_string(::getpid());
    inner_ = outer_ + "/inner";
  }
  void SetUp() override {
    ASSERT_EQ(::mkdir(outer_.c_str(), 0755), 0) << outer_ << ": this test needs root";
    ASSERT_EQ(::mkdir(inner_.c_str(), 0755), 0);
  }
  void TearDown() override {
    while (!children_.empty()) end(children_.back());
    remove_groups();
    EXPECT_FALSE(std::filesystem::exists(outer_));
  }

  // A process in a cgroup, until its end.
  pid_t process_in(const std::string& group) { return process_in(group, 0); }
  // A process that touches so many megabytes after go().
  pid_t process_in(const std::string& group, std::size_t megabytes) {
    Pipe ready = make_pipe(), go = make_pipe();
    pid_t pid = check(::fork(), "fork");
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      write_file(group + "/cgroup.procs", "0", 0);
      ready.write.reset();
      go.write.reset();
      char byte;
      while (::read(go.read.get(), &byte, 1) < 0) {
      }
      void* memory = ::mmap(nullptr, (megabytes << 20) + 1, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      for (;;)
        if (memory) ::pause();
    }
    children_.push_back(pid);
    ready.write.reset();
    read_all(ready.read.get(), 1, "wait for the child");
    go_ = std::move(go.write);
    return pid;
  }
  // Signals the last process.
  void go() { go_.reset(); }

  // Reaps the process; whether SIGKILL has killed it.
  bool was_killed(pid_t pid) {
    std::erase(children_, pid);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }
  void end(pid_t pid) {
    ::kill(pid, SIGKILL);
    was_killed(pid);
  }
  void remove_groups() {
    remove_group(inner_);
    remove_group(outer_);
  }
  // A cgroup is busy for a moment after its last process was reaped.
  static void remove_group(const std::string& group) {
    for (int i = 0; i < 200 && ::rmdir(group.c_str()) < 0 && errno == EBUSY; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  std::string outer_, inner_;
  std::vector<pid_t> children_;
  Fd go_;
};

}  // namespace thinshim::test
