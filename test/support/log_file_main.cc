// SPDX-License-Identifier: Apache-2.0
// main() of tests whose program is run again as the log file process, as the shim is.
#include <gtest/gtest.h>

#include "stdio/log_file.h"

int main(int argc, char** argv) {
  if (thinshim::is_log_file(argc, argv)) return thinshim::run_log_file(argv[1]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
