// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "support/containerd.h"
#include "support/ctr.h"
#include "support/leftovers.h"
#include "support/own_namespaces.h"
#include "support/processes.h"

namespace thinshim::test {

// Real containers: each test starts a stock containerd, which runs the shim $THINSHIM_BINARY, and
// drives containerd with `ctr`. After each test, only the output of its containers may be left.
//
// A container has the id it is given, a root file system of busybox that all share, and no
// environment: name programs by their path. Needs main() of support/main.cc.
class EndToEnd : public ::testing::Test {
 protected:
  explicit EndToEnd(const std::string& containerd_log_level = "info");
  void SetUp() override;
  void TearDown() override;

  // --- verbs. `flags` are those of the `ctr` subcommand.
  // `ctr run --rm`; waits for its exit.
  Outcome run(const std::string& id, const Words& command, const Words& flags = {},
              const std::string& input = "");
  // `ctr run --detach`; fails the test when that fails. The container's stdio is null, unless flags
  // say otherwise.
  void run_detached(const std::string& id, const Words& command,
                    const Words& flags = {"--null-io"});
  // `ctr task exec` with a new exec id; waits for its exit.
  Outcome exec(const std::string& id, const Words& command, const Words& flags = {},
               const std::string& input = "");
  // Its command line, for Terminal and Subprocess.
  Words run_command(const std::string& id, const Words& command, const Words& flags) const;
  Words exec_command(const std::string& id, const Words& command, const Words& flags);
  // As `ctr task ls` says: RUNNING, STOPPED, ...; empty without a task.
  std::string status(const std::string& id) const;
  bool has_status(const std::string& id, const std::string& wanted) const;  // waits for it
  pid_t init_pid(const std::string& id) const;                              // as `ctr task ls` says
  // Kills the task if it runs; deletes the task and the container.
  void remove(const std::string& id);
  // The one shim of this test; fails the test when there are none or several.
  Process only_shim() const;
  // Waits until the shim has no other files open than these.
  ::testing::AssertionResult has_open_files(pid_t pid, const std::vector<std::string>& files) const;

  // A directory of the test, empty at first, and the flags that show it to a container as /shared.
  std::filesystem::path shared() const;
  Words share() const;

  std::string containerd_namespace_;
  std::filesystem::path directory_;
  Containerd containerd_;
  Ctr ctr_;

 private:
  std::optional<Leftovers> leftovers_;
  int execs_ = 0;
};

const World& world();
void set_world(const World& world);
// The busybox tree, made at the first call.
std::filesystem::path rootfs();

}  // namespace thinshim::test
