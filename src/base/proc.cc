// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include <signal.h>

#include <charconv>
#include <cstdint>

#include "base/file.h"

namespace thinshim {
namespace {

// Fields of proc_pid_stat(5).
constexpr int kState = 3;
constexpr int kParent = 4;
constexpr int kFlags = 9;

// SIGKILL has been sent, but not been acted upon (proc_pid_status(5), SigPnd and ShdPnd).
bool is_being_killed(pid_t pid) {
  constexpr std::uint64_t kKill = 1u << (SIGKILL - 1);
  const std::string status = read_proc_file(pid, "status");
  for (const char* name : {"SigPnd", "ShdPnd"}) {
    const std::string_view mask = status_field(status, name);
    std::uint64_t signals = 0;
    std::from_chars(mask.data(), mask.data() + mask.size(), signals, 16);
    if (signals & kKill) return true;
  }
  return false;
}

}  // namespace

Fate fate_of(pid_t pid) {
  constexpr std::uint64_t kExiting = 0x4;    // PF_EXITING, linux/sched.h
  const bool killed = is_being_killed(pid);  // before its end, which the next question may see
  const std::string stat = read_proc_file(pid, "stat");
  const std::string_view state = stat_field(stat, kState);
  if (state.empty() || state == "Z") return Fate::gone;
  const std::uint64_t flags = parse_number(stat_field(stat, kFlags)).value_or(0);
  return killed || (flags & kExiting) != 0 ? Fate::ending : Fate::lives;
}

pid_t parent_of(pid_t pid) {
  const std::string stat = read_proc_file(pid, "stat");
  return static_cast<pid_t>(parse_number(stat_field(stat, kParent)).value_or(0));
}

}  // namespace thinshim
