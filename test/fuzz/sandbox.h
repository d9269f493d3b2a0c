// SPDX-License-Identifier: Apache-2.0
// A place where code that acts on what it is told may be told anything: it has a file system in
// memory as its working directory, and no rights but nobody's. Needs root.
#pragma once

#include <string>

namespace thinshim::fuzz {

// How an absolute path into the sandbox begins, which is mounted nowhere.
inline const std::string kHere = "/proc/self/cwd/";

// Once, at the start of a process.
void make_sandbox();

// The working directory, and the rights of this thread and of what it starts, are the sandbox's as
// long as one of these exists. libFuzzer, which writes down what is found, has its own back when a
// signal or a sanitizer calls it; whether that was in a fork is seen at the end.
class InSandbox {
 public:
  InSandbox();
  ~InSandbox();
  InSandbox(const InSandbox&) = delete;
};

}  // namespace thinshim::fuzz
