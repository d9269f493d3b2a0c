// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace thinshim::test {

// How much is tested: `full` if $THINSHIM_RELIABILITY is "full", as in scripts/reliability; `quick`
// in scripts/test.
inline int scaled(int quick, int full) {
  const char* scale = std::getenv("THINSHIM_RELIABILITY");
  return scale != nullptr && std::string(scale) == "full" ? full : quick;
}

// A figure for test/RELIABILITY.md, which scripts/reliability prints.
inline void figure(const std::string& what, const std::string& value) {
  std::printf("figure: %s: %s\n", what.c_str(), value.c_str());
  std::fflush(stdout);
}
inline void figure(const std::string& what, double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.10g", value);
  figure(what, text);
}

}  // namespace thinshim::test
