// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

// Fields of proc_pid_stat(5).
constexpr int kState = 3;
constexpr int kParent = 4;
constexpr int kFlags = 9;

// Whether SIGKILL is pending (proc_pid_status(5), SigPnd and ShdPnd).
bool is_being_killed(std::string_view status) {
  constexpr std::uint64_t kKill = 1u << (SIGKILL - 1);
  for (const char* name : {"SigPnd", "ShdPnd"}) {
    const std::string_view mask = status_field(status, name);
    std::uint64_t signals = 0;
    std::from_chars(mask.data(), mask.data() + mask.size(), signals, 16);
    if (signals & kKill) return true;
  }
  return false;
}

// Does not need /proc, which may be missing or hide other users' processes (proc(5), hidepid).
bool exists(pid_t pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; }

}  // namespace

std::optional<std::string> read_proc_file(pid_t pid, const std::string& name) {
  if (pid <= 0) return std::nullopt;
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  std::optional<std::string> text;
  try {
    text = read_file(path);
  } catch (const Error& error) {
    if (error.errnum() != ESRCH) throw;  // it exited between open(2) and read(2)
  }
  if (!text && exists(pid)) throw Error(Code::unknown, "open " + path + ": not visible (hidepid?)");
  return text;
}

ProcessState process_state(pid_t pid) try {
  constexpr std::uint64_t kExiting = 0x4;  // PF_EXITING, linux/sched.h
  // In this order: a process that is killed between the two reads is seen to exit by the second.
  const std::optional<std::string> status = read_proc_file(pid, "status");
  const std::optional<std::string> stat = read_proc_file(pid, "stat");
  if (!status || !stat || stat_field(*stat, kState) == "Z") return ProcessState::exited;
  const std::optional<std::uint64_t> flags = parse_number(stat_field(*stat, kFlags));
  if (!flags) return ProcessState::unknown;
  return is_being_killed(*status) || (*flags & kExiting) != 0 ? ProcessState::exiting
                                                              : ProcessState::alive;
} catch (const Error&) {
  return ProcessState::unknown;
}

pid_t parent_of(pid_t pid) {
  const std::string stat = read_proc_file(pid, "stat").value_or("");
  return static_cast<pid_t>(parse_number(stat_field(stat, kParent)).value_or(0));
}

std::vector<pid_t> own_children() {
  const std::string thread = std::to_string(::getpid());  // the main thread
  const std::optional<std::string> text = read_file("/proc/self/task/" + thread + "/children");
  std::vector<pid_t> pids;
  std::string_view rest = text ? *text : std::string_view();
  while (!rest.empty())
    if (std::optional<std::uint64_t> pid = parse_number(cut_word(rest)))
      pids.push_back(static_cast<pid_t>(*pid));
  return pids;
}

}  // namespace thinshim
