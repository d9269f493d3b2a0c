// SPDX-License-Identifier: Apache-2.0
// The child's part of starting a program, from clone(2) to execve(2).
//
// The child shares this process's memory, as after vfork(2), but this process does not wait for it:
// execve(2) and the search in PATH access the program's file systems, and block for ever if one
// hangs (FUSE, or a network file system whose server is down). So the child has its own stack, and
// makes system calls without libc, whose errno it would share with this process.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>

namespace thinshim {

// Input and result of the child. The caller must not change or free it, what it points to, or the
// stack, while `in_use` is not 0.
struct Launch {
  // Paths to try, ended by a null pointer. In a search (PATH), the first one that is a regular file
  // and is executable is the program.
  const char* const* paths;
  bool is_search;
  char* const* argv;
  char* const* envp;
  const char* directory;  // working directory; null: inherited
  const int* sources;     // become the descriptors 0, 1, 2, ...
  int* parked;            // scratch space of the same size
  int count;              // of `sources`
  // The highest open descriptor if close_range(2) is missing (before Linux 5.9) or refused;
  // otherwise -1.
  int highest;
  const rlimit* open_files;  // RLIMIT_NOFILE (open_files.h); null: inherited
  int death_signal;
  pid_t parent;
  bool own_group;
  bool default_umask;

  // The errno of the failed call; 0 if none failed.
  int failure;
  // The path for which execve(2) failed; null if it was not called.
  const char* failed_path;
  // The search found no program.
  bool is_missing;
  // Not 0 while the child uses this: the kernel writes 0 when execve(2) succeeds and when the child
  // exits (CLONE_CHILD_CLEARTID in clone(2)).
  std::atomic<pid_t> in_use;
};

// The child's name (/proc/PID/comm) before execve(2). Its command line is that of this process.
inline constexpr const char* kLaunchName = "thinshim-exec";

inline constexpr std::size_t kLaunchStack = 4 << 10;  // bytes

// Returns the child's pid, or -1 with errno set. If a call fails, the child exits with status 127.
pid_t begin_launch(Launch& launch, char* stack);

}  // namespace thinshim
