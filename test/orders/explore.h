// SPDX-License-Identifier: Apache-2.0
// Runs many orders, and reports those that break a promise.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "orders/worker_pool.h"

namespace thinshim::orders {

// The findings by promise and reason: how many orders have one, and the shortest of them.
class Report {
 public:
  void add(const Result& result);
  bool empty() const { return violations_.empty(); }
  std::size_t orders() const { return orders_; }

  // Removes from each example the steps that its finding does not need.
  void minimise(WorkerPool& pool);
  // For each finding the promise, orders in words, and the command that runs them again.
  std::string text() const;

 private:
  struct Example {
    Order order;
    std::string what;
  };
  struct Violation {
    std::size_t count = 0;
    std::vector<Example> examples;  // a few, the shortest first
  };
  std::map<std::string, Violation> violations_;
  std::size_t orders_ = 0;
};

// The number of steps of a random order, and the most steps of an exhaustive search, each after the
// steps of its setup (up to eight).
inline constexpr std::size_t kRandomSteps = 8;
inline constexpr std::size_t kExhaustiveSteps = 5;

// Runs random orders for so many seconds.
Report run_random_orders(WorkerPool& pool, std::uint64_t seed, std::int64_t seconds);

// Runs all orders of up to `length` steps after the setups whose name begins with `setup`, the
// shorter ones first and in random order within a length. Stops after so many seconds, so that the
// longest are a sample. Prints how many there are of each length.
Report run_all_orders(WorkerPool& pool, const std::string& setup, std::size_t length,
                      std::uint64_t seed, std::int64_t seconds);

}  // namespace thinshim::orders
