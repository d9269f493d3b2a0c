// SPDX-License-Identifier: Apache-2.0
// Files of /proc/PID. They contain the process's name, which the process chooses itself: any bytes
// but a newline. So the parsers never search for a word that could be part of the name.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace thinshim {

// A field of /proc/PID/stat, numbered as in proc_pid_stat(5), from 3 (the state) on; empty if there
// is none. Skips the name, which is in parentheses and may contain parentheses.
inline std::string_view stat_field(std::string_view stat, int number) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return {};
  stat.remove_prefix(name_end + 1);
  std::string_view field;
  for (int i = 3; i <= number; ++i) field = cut_word(stat);
  return field;
}

// The value of a line of /proc/PID/status, such as "SigPnd" (proc_pid_status(5)); empty if there is
// no such line. Does not find the first line, "Name".
inline std::string_view status_field(std::string_view status, const std::string& name) {
  const std::string begin = "\n" + name + ":";
  const std::size_t found = status.find(begin);
  if (found == std::string_view::npos) return {};
  status.remove_prefix(found + begin.size());
  std::string_view line = cut(status, '\n');
  return cut_word(line);
}

enum class ProcessState {
  alive,
  exiting,  // SIGKILL is pending, or it exits; its descriptors may still be open
  exited,   // its descriptors are closed: a zombie, or reaped
  unknown,  // /proc cannot be read: out of memory, or hidepid
};
// Reads no file of /proc that takes the lock of the process's memory (mmap_lock), which a hung
// process may hold for ever.
ProcessState process_state(pid_t pid);

// The content of /proc/PID/NAME; nothing if there is no such process. Throws Error if it cannot be
// read.
std::optional<std::string> read_proc_file(pid_t pid, const std::string& name);

// The parent's pid; 0 if there is no such process. Throws Error if it cannot be read.
pid_t parent_of(pid_t pid);

// All children of this process; none if the kernel does not list them (CONFIG_PROC_CHILDREN).
// Throws Error.
std::vector<pid_t> own_children();

}  // namespace thinshim
