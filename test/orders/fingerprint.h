// SPDX-License-Identifier: Apache-2.0
// Whether two orders have led to the same observable state.
#pragma once

#include <cstdint>

#include "orders/trace.h"

namespace thinshim::orders {

// Equal for two traces if the same steps, in whatever order, had the same outcome: the same events
// in the same order, the same answers, the same calls of the runtime, and the same pending calls
// and requests, begun at the same times in the same order. Further steps are then tried after one
// of the two only.
std::uint64_t fingerprint_of(const Trace& trace);

}  // namespace thinshim::orders
