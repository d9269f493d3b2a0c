// SPDX-License-Identifier: Apache-2.0
// Which orders are tried, and what is said of those in which a promise was broken.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "orders/crew.h"

namespace thinshim::orders {

// What was found, by promise and reason: how often, and the shortest orders.
class Report {
 public:
  void take(const Result& result);
  bool empty() const { return broken_.empty(); }
  std::size_t orders() const { return orders_; }

  // Leaves out of each order what its finding does not need.
  void minimise(Crew& crew);
  // For people: the promise, the order in words, and how to play it again.
  std::string text() const;

 private:
  struct Example {
    Order order;
    std::string what;
  };
  struct Broken {
    std::size_t count = 0;
    std::vector<Example> examples;  // few
  };
  std::map<std::string, Broken> broken_;
  std::size_t orders_ = 0;
};

// How many steps walks take, and how many all orders have at most, behind up to eight with which
// their scene begins.
inline constexpr std::size_t kLength = 8;
inline constexpr std::size_t kAllLength = 5;

// Walks at random for so many seconds.
Report sample(Crew& crew, std::uint64_t seed, std::int64_t seconds);

// All orders of up to `length` steps in the scenes whose name begins with `scene`, the shorter ones
// first; for so many seconds at most, so that the longest are a sample. Prints how many there are
// of each length.
Report enumerate(Crew& crew, const std::string& scene, std::size_t length, std::uint64_t seed,
                 std::int64_t seconds);

}  // namespace thinshim::orders
