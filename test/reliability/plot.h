// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace thinshim::test {

// A quantity over time: one value each second, from 0 on.
struct Curve {
  std::string name;  // with its unit
  std::vector<double> values;
};

// An SVG with a panel for each, one below the other, over the same minutes. A column of the picture
// shows the largest of the values that fall into it: a peak of one second stays visible in an hour.
std::string plot(const std::string& title, const std::vector<Curve>& curves);

}  // namespace thinshim::test
