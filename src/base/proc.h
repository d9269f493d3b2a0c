// SPDX-License-Identifier: Apache-2.0
// What the kernel tells of a process as text. Its name is in it, which is the process's own choice
// and may hold anything but a line's end; so nothing is looked for by a word that may be the
// name's.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace thinshim {

// A field of /proc/PID/stat, numbered as in proc_pid_stat(5), from 3 (the state) on; empty where
// there is none. The name stands before it in parentheses, and may hold some.
inline std::string_view stat_field(std::string_view stat, int number) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return {};
  stat.remove_prefix(name_end + 1);
  std::string_view field;
  for (int i = 3; i <= number; ++i) field = cut_word(stat);
  return field;
}

// A line of /proc/PID/status ("SigPnd"), without its name (proc_pid_status(5)); empty where there
// is none, and for the first line, the process's name.
inline std::string_view status_field(std::string_view status, const std::string& name) {
  const std::string begin = "\n" + name + ":";
  const std::size_t found = status.find(begin);
  if (found == std::string_view::npos) return {};
  status.remove_prefix(found + begin.size());
  std::string_view line = cut(status, '\n');
  return cut_word(line);
}

// What becomes of a process: one that is `ending` was sent SIGKILL or has come to its end by
// itself, and its descriptors may still be open; one that is `gone` has closed them (a zombie too).
// What cannot be read, for want of memory or because it is hidden, is `unknown`. Takes no lock of
// the process's memory, which it may hold for ever.
enum class Fate { lives, ending, gone, unknown };
Fate fate_of(pid_t pid);

// /proc/PID/NAME; nothing where the process is gone. Throws Error where it cannot be read.
std::optional<std::string> read_of_process(pid_t pid, const std::string& name);

// 0 where the process is gone. Throws Error where it cannot be told.
pid_t parent_of(pid_t pid);

// All children of this process, where the kernel lists them (CONFIG_PROC_CHILDREN). Throws Error.
std::vector<pid_t> own_children();

}  // namespace thinshim
