// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace thinshim::test {

// A quantity over time: one value for each second, from 0.
struct Curve {
  std::string name;  // with its unit
  std::vector<double> values;
};

// An SVG with a panel for each quantity, one below the other, over the same minutes. A column of
// pixels shows the largest of its values: a peak of one second stays visible in an hour.
std::string plot(const std::string& title, const std::vector<Curve>& curves);

}  // namespace thinshim::test
