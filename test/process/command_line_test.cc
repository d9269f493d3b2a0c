// SPDX-License-Identifier: Apache-2.0
#include "process/command_line.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace thinshim {
namespace {

using namespace std::string_literals;

// An argv whose strings are adjacent, as the kernel lays them out.
struct Words {
  explicit Words(std::string text) : memory(std::move(text)) {
    for (std::size_t i = 0; i < memory.size(); i += std::strlen(&memory[i]) + 1)
      pointers.push_back(&memory[i]);
  }
  CommandLine line() { return CommandLine(static_cast<int>(pointers.size()), pointers.data()); }
  std::string memory;
  std::vector<char*> pointers;
};

TEST(CommandLine, ReplacesTheArguments) {
  Words words("shim\0-id\0one\0start\0"s);
  words.line().replace({"-id", "two"});
  EXPECT_EQ(words.memory, "shim\0-id\0two\0\0\0\0\0\0\0"s);
}

TEST(CommandLine, OmitsArgumentsThatDoNotFit) {
  Words words("shim\0-id\0one\0end\0"s);
  CommandLine line = words.line();
  line.replace({"-id", "one", "long", "x"});
  EXPECT_EQ(words.memory, "shim\0-id\0one\0\0\0\0\0"s);
  line.replace({"-id", "one", "ext"});
  EXPECT_EQ(words.memory, "shim\0-id\0one\0ext\0"s);
  line.restore();
  EXPECT_EQ(words.memory, "shim\0-id\0one\0end\0"s);
}

TEST(CommandLine, WithoutArgumentsIsUnchanged) {
  Words alone("shim\0"s);
  alone.line().replace({"-id"});
  EXPECT_EQ(alone.memory, "shim\0"s);
  CommandLine(0, nullptr).replace({"-id"});
}

// An argument that was moved elsewhere must not be overwritten.
TEST(CommandLine, EndsAtTheFirstArgumentThatIsNotAdjacent) {
  Words words("shim\0-id\0one\0start\0"s);
  std::string elsewhere = "none";
  words.pointers[2] = elsewhere.data();
  words.line().replace({"-x", "more"});
  EXPECT_EQ(words.memory, "shim\0-x\0\0one\0start\0"s);
  EXPECT_EQ(elsewhere, "none");
}

}  // namespace
}  // namespace thinshim
