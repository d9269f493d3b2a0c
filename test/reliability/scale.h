// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace thinshim::test {

// How much of it: `full` where $THINSHIM_RELIABILITY says "full", as scripts/reliability does;
// `quick` in scripts/test.
inline int scaled(int quick, int full) {
  const char* scale = std::getenv("THINSHIM_RELIABILITY");
  return scale != nullptr && std::string(scale) == "full" ? full : quick;
}

// A figure for test/RELIABILITY.md. scripts/reliability prints these lines.
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
