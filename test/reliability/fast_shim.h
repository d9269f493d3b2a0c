// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "support/fast_runtime.h"
#include "support/shim_under_test.h"

namespace thinshim::test {

// The shim with a runtime that costs next to nothing, for what is to be done very often.
class FastShimTest : public ShimTest {
 protected:
  // For the fast runtime; another one's path where it is said.
  api::CreateTaskRequest fast_request(const std::string& id,
                                      const std::string& runtime = fast_runtime()) const;
  // Makes a bundle whose process is what the fast runtime calls so, a shim, and runs it.
  std::unique_ptr<TaskCalls> run_fast(const std::string& id, const Words& args = {"sleep"});

  // Whether its memory says something: AddressSanitizer keeps what is freed, and its own books.
  static bool tells_memory(pid_t pid);
};

}  // namespace thinshim::test
