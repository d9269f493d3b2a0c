// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace thinshim::test {

// The path of a program that plays runc at the cost of a fork: for tests that need many processes,
// see fast_runtime_main.cc. It lies in the build directory, beside the test programs' own.
std::string fast_runtime();

}  // namespace thinshim::test
