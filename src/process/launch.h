// SPDX-License-Identifier: Apache-2.0
// The child's part of starting a program, from clone(2) to execve(2).
//
// The child shares this process's memory, as after vfork(2), but this process does not wait:
// execve(2) and the search in PATH wait for the file systems that the program lies on, for ever
// where one hangs (FUSE, or a network file system whose server is gone). So the child has a stack
// of its own, and makes system calls without libc, whose errno would be ours.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>

namespace thinshim {

// All that the child reads, and what it answers. It stays as it is, with all that it points to and
// the stack, until the child has let go of it.
struct Launch {
  // Paths of the program, with a null pointer behind the last: where there are several, the first
  // that is a regular file and may be executed is the program.
  const char* const* paths;
  bool is_search;
  char* const* argv;
  char* const* envp;
  const char* directory;  // null: where we are
  const int* sources;     // of its descriptors 0, 1, 2, ...
  int* parked;            // as many
  int count;
  // The highest descriptor that is open, where close_range(2) is missing (before Linux 5.9) or
  // refused; else -1.
  int highest;
  const rlimit* open_files;  // of the program (open_files.h); null: ours
  int death_signal;
  pid_t parent;
  bool own_group;
  bool usual_umask;

  // The errno of what failed, 0 once it is the program.
  int failure;
  // The path that execve(2) failed for; null where it was not reached.
  const char* failed_path;
  // It was none of the paths of a search.
  bool is_missing;
  // Not 0 as long as the child uses this: the kernel writes 0 when it becomes the program, and when
  // it ends (CLONE_CHILD_CLEARTID in clone(2)).
  std::atomic<pid_t> in_use;
};

// The child's name until it is the program (/proc/PID/comm): its command line is this process's.
inline constexpr const char* kLaunchName = "thinshim-exec";

inline constexpr std::size_t kLaunchStack = 16 << 10;

// Returns the child's pid, or -1 with errno set. A child that fails exits with status 127.
pid_t begin_launch(Launch& launch, char* stack);

}  // namespace thinshim
