// SPDX-License-Identifier: Apache-2.0
// A file of one call of the runtime: the log that it writes, or what it reads.
//
// The runtime is given its path alone, for between the shim and the runtime may be a program that
// passes no descriptor above 2 on (sudo, Python's subprocess, gVisor's runsc when it executes
// itself anew). The path is in the bundle, and not in /proc/PID/fd of the shim: a process with
// fewer capabilities, or in a user namespace of its own, may not look in there (ptrace(2), "Ptrace
// access mode checking"). Where the bundle has gone or has no room the file is in memory all the
// same, with such a path, which serves most runtimes: a container must be killed and deleted on a
// full disk too.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"

namespace thinshim {

class CallFile {
 public:
  // With this content, in the bundle's directory; in memory where that is empty. Throws Error "make
  // NAME: reason"; `name` is for that only.
  CallFile(const std::string& directory, const char* name, std::string_view content = {});
  // Removes the file.
  ~CallFile();
  CallFile(const CallFile&) = delete;
  CallFile& operator=(const CallFile&) = delete;

  // For the runtime.
  const std::string& path() const { return path_; }
  // For this process: leads to the file whatever becomes of the other path.
  std::string own_path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

  // Whether a file of this name is one of a call; a shim that is killed leaves some.
  static bool is_name(std::string_view name);

 private:
  bool make_in(const std::string& directory, std::string_view content);
  void make_in_memory(const char* name, std::string_view content);

  Fd file_;
  std::string path_;
  bool has_name_ = false;
};

}  // namespace thinshim
