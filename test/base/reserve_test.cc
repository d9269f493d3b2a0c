// SPDX-License-Identifier: Apache-2.0
#include "base/reserve.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

// AddressSanitizer has its own allocator, which does not call the new-handler.
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define THINSHIM_ASAN
#endif
#endif
#ifndef THINSHIM_ASAN

// Runs `work` in a fork; returns its exit code.
template <class Work>
int in_a_fork(Work work) {
  const pid_t pid = check(::fork(), "fork");
  if (pid == 0) ::_exit(work());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void limit_data(rlim_t bytes) {
  const rlimit limit{bytes, RLIM_INFINITY};
  check(::setrlimit(RLIMIT_DATA, &limit), "setrlimit");
}

rlim_t data_in_use() {
  const std::string text = read_file("/proc/self/status").value();
  return std::stoul(text.substr(text.find("\nVmData:") + 8)) * 1024;
}

using Blocks = std::vector<std::unique_ptr<char[]>>;

TEST(Reserve, IsFreedWhenMemoryIsShortAndMappedAgainLater) {
  const int code = in_a_fork([] {
    reserve_memory();
    if (!has_reserved_memory()) return 2;
    Blocks blocks;
    blocks.reserve(1000);
    limit_data(data_in_use());
    for (int i = 0; i < 1000 && has_reserved_memory(); ++i)
      blocks.push_back(std::make_unique<char[]>(50'000));
    if (has_reserved_memory()) return 3;
    limit_data(RLIM_INFINITY);
    return has_reserved_memory() ? 0 : 4;
  });
  EXPECT_EQ(code, 0);
}

TEST(Reserve, OnceUsedUpTheProcessExits) {
  testing::internal::CaptureStderr();
  const int code = in_a_fork([] {
    reserve_memory();
    Blocks blocks;
    blocks.reserve(1000);
    limit_data(data_in_use());
    for (int i = 0; i < 1000; ++i) blocks.push_back(std::make_unique<char[]>(50'000));
    return 0;
  });
  EXPECT_EQ(code, 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "containerd-shim-runc-v2: out of memory\n");
}

#endif

}  // namespace
}  // namespace thinshim
