// SPDX-License-Identifier: Apache-2.0
// Runs a program without a system call, or without all that Linux 4.18 lacks (0):
//
//   older_kernel ERRNO CALL PROGRAM [ARGUMENTS...]
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/older_kernel.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  if (thinshim::test::refuse_calls(std::atol(argv[2]), std::atoi(argv[1])))
    ::execv(argv[3], argv + 3);
  std::perror(argv[3]);
  return 125;
}
