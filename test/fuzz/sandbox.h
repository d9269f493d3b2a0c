// SPDX-License-Identifier: Apache-2.0
// A sandbox for code that acts on untrusted input: a file system in memory as its working
// directory, and the rights of the user nobody. Needs root.
#pragma once

#include <string>

namespace thinshim::fuzz {

// The prefix of absolute paths into the sandbox; nothing is mounted there.
inline const std::string kHere = "/proc/self/cwd/";

// Once, at the start of a process.
void make_sandbox();

// While an object exists, the working directory and the rights of this thread and of what it starts
// are the sandbox's. libFuzzer, which writes findings to files, has its own back in signal handlers
// and sanitizer callbacks; whether that was in a fork is checked at the end.
class InSandbox {
 public:
  InSandbox();
  ~InSandbox();
  InSandbox(const InSandbox&) = delete;
};

}  // namespace thinshim::fuzz
