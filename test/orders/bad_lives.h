// SPDX-License-Identifier: Apache-2.0
// Lives in which a promise is broken, for tests of the checker.
#pragma once

#include <functional>
#include <vector>

#include "orders/tale.h"

namespace thinshim::orders {

struct Bad {
  const char* promise;  // of rules()
  const char* reason;   // of the finding
  std::function<void(Tale&)> tell;
};
// By the files of the rules.
const std::vector<Bad>& bad_events();
const std::vector<Bad>& bad_answers();
const std::vector<Bad>& bad_times();

}  // namespace thinshim::orders
