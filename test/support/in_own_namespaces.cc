// SPDX-License-Identifier: Apache-2.0
// Runs a program in the namespaces and the directory that the end-to-end tests have, for tests in
// other languages; world.py is their side. Usage: in_own_namespaces PROGRAM [ARGUMENT...]; the exit
// code is the program's.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/own_namespaces.h"

int main(int argc, char** argv) {
  using namespace thinshim::test;
  if (argc < 2) {
    std::fprintf(stderr, "usage: in_own_namespaces PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  try {
    return run_in_own_namespaces([&](const World& world) {
      setenv("THINSHIM_TEST_DIRECTORY", world.directory.c_str(), 1);
      execvp(argv[1], argv + 1);
      std::perror(argv[1]);
      return 127;
    });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
