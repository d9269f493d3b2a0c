// SPDX-License-Identifier: Apache-2.0
// main() of the end-to-end tests: they run in namespaces of their own.
#include <gtest/gtest.h>

#include <iostream>

#include "support/end_to_end.h"

int main(int argc, char** argv) {
  using namespace thinshim::test;
  try {
    return run_in_own_namespaces([&](const World& world) {
      set_world(world);
      testing::InitGoogleTest(&argc, argv);
      return RUN_ALL_TESTS();
    });
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
