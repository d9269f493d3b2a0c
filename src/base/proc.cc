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

// SIGKILL has been sent, but not been acted upon (proc_pid_status(5), SigPnd and ShdPnd).
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

// A machine may hide the processes of others (proc(5), hidepid), or have no /proc at all.
bool exists(pid_t pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; }

}  // namespace

std::optional<std::string> read_of_process(pid_t pid, const std::string& name) {
  if (pid <= 0) return std::nullopt;
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  std::optional<std::string> text;
  try {
    text = read_file(path);
  } catch (const Error& error) {
    if (error.errnum() != ESRCH) throw;  // it has ended between two calls
  }
  if (!text && exists(pid)) throw Error(Code::unknown, "open " + path + ": is hidden");
  return text;
}

Fate fate_of(pid_t pid) try {
  constexpr std::uint64_t kExiting = 0x4;  // PF_EXITING, linux/sched.h
  // Whether it is being killed is asked before its end, which the next question may see.
  const std::optional<std::string> status = read_of_process(pid, "status");
  const std::optional<std::string> stat = read_of_process(pid, "stat");
  if (!status || !stat || stat_field(*stat, kState) == "Z") return Fate::gone;
  const std::optional<std::uint64_t> flags = parse_number(stat_field(*stat, kFlags));
  if (!flags) return Fate::unknown;
  return is_being_killed(*status) || (*flags & kExiting) != 0 ? Fate::ending : Fate::lives;
} catch (const Error&) {
  return Fate::unknown;
}

pid_t parent_of(pid_t pid) {
  const std::string stat = read_of_process(pid, "stat").value_or("");
  return static_cast<pid_t>(parse_number(stat_field(stat, kParent)).value_or(0));
}

std::vector<pid_t> own_children() {
  const std::string thread =
      std::to_string(::getpid());  // the main one, of whose number the process's is
  const std::optional<std::string> text = read_file("/proc/self/task/" + thread + "/children");
  std::vector<pid_t> pids;
  std::string_view rest = text ? *text : std::string_view();
  while (!rest.empty())
    if (std::optional<std::uint64_t> pid = parse_number(cut_word(rest)))
      pids.push_back(static_cast<pid_t>(*pid));
  return pids;
}

}  // namespace thinshim
