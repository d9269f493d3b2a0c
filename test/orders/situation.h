// SPDX-License-Identifier: Apache-2.0
// Whether two orders have led to the same place, as far as anybody can tell.
#pragma once

#include <cstdint>

#include "orders/trace.h"

namespace thinshim::orders {

// A number that two traces share where the same steps, in whatever order, had the same outcome: the
// same events in the same order, the same answers, the same calls of the runtime, and the same
// waiting, since when, in the same order. What may follow is then tried once.
std::uint64_t situation_of(const Trace& trace);

}  // namespace thinshim::orders
