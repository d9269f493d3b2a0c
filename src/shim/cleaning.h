// SPDX-License-Identifier: Apache-2.0
// The clean-up that `delete` does, for one container or for several that share a shim: the runtime
// removes the container, then the cgroups, mounts and files are removed. A step that fails does not
// stop the others; its error goes to stderr, which containerd logs.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"
#include "oci/bundle.h"
#include "oci/group_record.h"
#include "process/reaper.h"
#include "shim/arguments.h"

namespace thinshim {

// containerd kills `delete` after 5 s. All waits but the one for the runtime end kDeleteTimeout
// after the start; of that, kCgroupTimeout is reserved for what a killed runtime left in cgroups.
inline constexpr std::chrono::milliseconds kDeleteTimeout{3000};
inline constexpr std::chrono::milliseconds kCgroupTimeout{1000};

// What it takes to run a runtime.
struct Executor {
  Loop loop;
  Reaper reaper{loop};
};

// One `delete`: what all its steps share.
struct Deletion {
  const Arguments& arguments;
  const Bundle& bundle;      // of the container that `delete` is for
  std::string address = {};  // of the shim; empty if unknown
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::now() + kDeleteTimeout;
  bool complete = true;                        // false once something may be left
  std::optional<Executor> lazy_executor = {};  // made by executor()

  Executor& executor() {
    if (!lazy_executor) lazy_executor.emplace();
    return *lazy_executor;
  }
};

// Writes a warning to stderr.
void warn(const std::string& what, const std::string& reason);
// Runs a step. Returns whether it succeeded; warns if it threw.
bool attempt(const std::string& what, const std::function<void()>& step);

// A container that may have left something.
struct Leftover {
  GroupMember container;  // fields from config.json are set only if it is recorded
  bool recorded = false;  // it has a record in the group's first bundle; its bundle may be gone
  bool settings_known = true;  // whether its runtime and root could be read
};

// Whether a newer container has its id: while this `delete` waits, ids and bundles of the group's
// other containers may be used again. Throws Error.
bool is_id_reused(const GroupMember& container, const Deletion& deletion);

// The clean-up after containers that share, or shared, one shim.
class Cleaning {
 public:
  Cleaning(std::vector<Leftover> all, Deletion& deletion)
      : all_(std::move(all)), deletion_(deletion) {}

  // Has the runtimes remove the containers, and waits for them until deletion.end at most.
  void begin();
  // Waits for the runtimes without a limit, then removes cgroups, mounts and files.
  void finish();

 private:
  void wait_for_dying_shim();
  void remove_from_runtime(const Leftover& one);
  Task<> wait_removed(std::chrono::steady_clock::time_point end);
  void remove_rest(const Leftover& one);

  std::vector<Leftover> all_;
  Deletion& deletion_;
  std::set<std::string> known_;  // ids that a runtime knew
  TaskSet removing_;
};

}  // namespace thinshim
