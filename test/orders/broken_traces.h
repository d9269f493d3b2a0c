// SPDX-License-Identifier: Apache-2.0
// Traces that break a promise, for tests of the checker.
#pragma once

#include <functional>
#include <vector>

#include "orders/trace_builder.h"

namespace thinshim::orders {

struct BrokenTrace {
  const char* promise;  // of rules()
  const char* reason;   // of the finding
  std::function<void(TraceBuilder&)> build;
};
// One function for each file of rules.
const std::vector<BrokenTrace>& broken_events();
const std::vector<BrokenTrace>& broken_answers();
const std::vector<BrokenTrace>& broken_times();

}  // namespace thinshim::orders
