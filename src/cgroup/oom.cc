// SPDX-License-Identifier: Apache-2.0
#include "cgroup/oom.h"

#include "base/error.h"
#include "cgroup/oom_v1.h"
#include "cgroup/oom_v2.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstPause = 1ms;
constexpr Duration kKillTimeout = 1s;

std::unique_ptr<OomWatch::Source> open_source(const Cgroup& group) {
  try {
    if (group.version() == CgroupVersion::v2) return open_oom_v2(group);
    return open_oom_v1(group);
  } catch (const Error& error) {
    throw error.in("watch OOM kills");
  }
}

}  // namespace

OomWatch::OomWatch(Loop& loop, const Cgroup& group)
    : loop_(loop), source_(open_source(group)), watch_(loop, source_->descriptor()) {}
OomWatch::~OomWatch() = default;

bool OomWatch::poll() { return source_->poll(); }
bool OomWatch::poll_last(bool is_unexplained) {
  return is_unexplained ? source_->poll_last() : source_->poll();
}

Task<> OomWatch::next() {
  for (;;) {
    if (source_->poll()) co_return;
    for (Duration pause = kFirstPause; source_->is_kill_pending() && pause < kKillTimeout;
         pause *= 2) {
      co_await sleep(loop_, pause);
      if (source_->poll()) co_return;
    }
    if (source_->is_kill_pending() && source_->waits_for_memory()) co_return;
    co_await watch_.readable();
  }
}

}  // namespace thinshim
