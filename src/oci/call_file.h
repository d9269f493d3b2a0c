// SPDX-License-Identifier: Apache-2.0
// A file for one call of the runtime: the log that the runtime writes, or its input.
//
// The runtime gets a path, not a descriptor: a wrapper between the shim and the runtime may close
// descriptors above 2 (sudo, Python's subprocess, gVisor's runsc when it re-executes itself). The
// file is in the bundle, because a runtime with fewer capabilities or in its own user namespace may
// not open /proc/PID/fd of the shim (ptrace(2), "Ptrace access mode checking").
//
// Where the bundle is missing or its disk is full, the file is a memfd with a path below
// /proc/PID/fd, which most runtimes can open: kill and delete must work on a full disk.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"

namespace thinshim {

class CallFile {
 public:
  // `directory` is the bundle; empty: in memory. Throws Error "make NAME in memory: reason".
  CallFile(const std::string& directory, const char* name, std::string_view content = {});
  // Removes the file.
  ~CallFile();
  CallFile(const CallFile&) = delete;
  CallFile& operator=(const CallFile&) = delete;

  // For the runtime.
  const std::string& path() const { return path_; }
  // For this process: valid even where the file at path() was removed or replaced.
  std::string own_path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

  // Whether `name` is the name of such a file; a shim that is killed leaves them behind.
  static bool is_name(std::string_view name);

 private:
  bool make_in(const std::string& directory, std::string_view content);
  void make_in_memory(const char* name, std::string_view content);

  Fd file_;
  std::string path_;
  bool has_name_ = false;
};

}  // namespace thinshim
