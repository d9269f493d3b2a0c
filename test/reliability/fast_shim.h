// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "support/shim_under_test.h"
#include "support/subprocess.h"

namespace thinshim::test {

// A program that imitates runc at the cost of a fork: support/fast_runtime_main.cc. Under its name
// the shim sends signals itself.
inline std::string fast_runtime() { return built_program("support/runc"); }

// The shim with a runtime that costs next to nothing, for tests that repeat something very often.
class FastShimTest : public ShimTest {
 protected:
  // Create with the fast runtime, or the one at this path.
  api::CreateTaskRequest fast_request(const std::string& id,
                                      const std::string& runtime = fast_runtime()) const;
  // Creates a bundle with this process of the fast runtime, starts a shim, and runs the container.
  std::unique_ptr<TaskCalls> run_fast(const std::string& id, const Words& args = {"sleep"});

  // A whole exec, for many concurrent callers: Exec, Wait begun, Start, with a signal Kill after a
  // moment, then Wait, State and Delete.
  struct ExecLife {
    pid_t pid = 0;  // from Start
    std::uint32_t status = 0;
    std::int64_t exited_at = 0;
  };
  // Fails the test if their answers differ, and throws if one is an error.
  Task<ExecLife> run_exec(TaskCalls& shim, api::ExecProcessRequest request, int signal = 0,
                          Duration until_signal = Duration(0));

  // In nanoseconds since 1970.
  static std::int64_t nanoseconds(const wire::Timestamp& time) {
    return time.seconds() * 1'000'000'000 + time.nanos();
  }

  // Whether its memory is worth measuring: AddressSanitizer keeps freed memory, and data of its
  // own.
  static bool has_measurable_memory(pid_t pid);
};

}  // namespace thinshim::test
