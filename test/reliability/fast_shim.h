// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "support/shim_under_test.h"
#include "support/subprocess.h"

namespace thinshim::test {

// A program that plays runc at the cost of a fork: support/fast_runtime_main.cc. Its name is one of
// those whose signals the shim sends by itself.
inline std::string fast_runtime() { return built_program("support/runc"); }

// The shim with a runtime that costs next to nothing, for what is to be done very often.
class FastShimTest : public ShimTest {
 protected:
  // For the fast runtime, or the one whose path is said.
  api::CreateTaskRequest fast_request(const std::string& id,
                                      const std::string& runtime = fast_runtime()) const;
  // Makes a bundle whose process is what the fast runtime calls so, a shim, and runs it.
  std::unique_ptr<TaskCalls> run_fast(const std::string& id, const Words& args = {"sleep"});

  // A whole exec, for those who run many at a time: Exec, Wait begun, Start, where there is a
  // signal Kill with it after a moment, then what Wait, State and Delete say.
  struct ExecLife {
    pid_t pid = 0;  // as Start said
    std::uint32_t status = 0;
    std::int64_t exited_at = 0;
  };
  // Fails the test where they differ, and throws where one is refused.
  Task<ExecLife> run_exec(TaskCalls& shim, api::ExecProcessRequest request, int signal = 0,
                          Duration until_signal = Duration(0));

  // In nanoseconds since 1970.
  static std::int64_t nanoseconds(const wire::Timestamp& time) {
    return time.seconds() * 1'000'000'000 + time.nanos();
  }

  // Whether its memory says something: AddressSanitizer keeps what is freed, and its own books.
  static bool tells_memory(pid_t pid);
};

}  // namespace thinshim::test
