// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"

namespace thinshim {
namespace {

// A line of /proc/self/status, in kB.
long kilobytes(const std::string& name) {
  const std::string text = read_file("/proc/self/status").value();
  return std::stol(text.substr(text.find("\n" + name + ":") + name.size() + 2));
}

constexpr long kMegabyte = 1024;

// AddressSanitizer has its own allocator and stacks, which free nothing.
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define THINSHIM_ASAN
#endif
#endif
#ifndef THINSHIM_ASAN
// Blocks below the mmap threshold of malloc, the last one in use.
TEST(Memory, OfFreedBlocksGoesBack) {
  std::vector<std::unique_ptr<std::string>> blocks;
  for (int i = 0; i < 400; ++i) blocks.push_back(std::make_unique<std::string>(20'000, 'x'));
  blocks.erase(blocks.begin(), blocks.end() - 1);
  const long before = kilobytes("RssAnon");
  release_unused_memory();
  EXPECT_LT(kilobytes("RssAnon"), before - 4 * kMegabyte);
  EXPECT_EQ(*blocks[0], std::string(20'000, 'x'));
}

[[gnu::noinline]] long use_stack() {
  volatile char space[500'000];
  for (std::size_t i = 0; i < sizeof space; i += 1000) space[i] = 1;
  return kilobytes("RssAnon");
}

TEST(Memory, OfTheUnusedStackGoesBack) {
  int used[100];
  std::fill(std::begin(used), std::end(used), 42);
  const long before = use_stack();
  release_unused_memory();
  EXPECT_LT(kilobytes("RssAnon"), before - 400);
  EXPECT_EQ(std::count(std::begin(used), std::end(used), 42), 100);
}
#endif

TEST(Memory, OfCodeGoesBackAndTheProgramRunsOn) {
  std::ostringstream text;
  text << 1.5;
  const long before = kilobytes("RssFile");
  unmap_unused_code();
  EXPECT_LT(kilobytes("RssFile"), before);
  text << 2.5;
  EXPECT_EQ(text.str(), "1.52.5");
}

}  // namespace
}  // namespace thinshim
