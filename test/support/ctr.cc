// SPDX-License-Identifier: Apache-2.0
#include "support/ctr.h"

namespace thinshim::test {

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Words Ctr::command(const Words& arguments) const {
  return Words{"ctr", "--address", socket_, "--namespace", namespace_} + arguments;
}

Outcome Ctr::operator()(const Words& arguments, const std::string& input) const {
  SubprocessOptions options;
  options.input = input;
  return run(command(arguments), std::move(options));
}

Subprocess Ctr::begin(const Words& arguments, SubprocessOptions options) const {
  return Subprocess(command(arguments), std::move(options));
}

}  // namespace thinshim::test
