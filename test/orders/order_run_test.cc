// SPDX-License-Identifier: Apache-2.0
// An order is parsed as it is printed, and is reproducible.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "orders/order_run.h"
#include "orders/worker_pool.h"
#include "support/end_to_end.h"

namespace thinshim::orders {
namespace {

// Without pids and the wall clock, which depend on the machine.
std::string reproducible_text(Trace trace) {
  for (Entry& entry : trace.entries) {
    entry.pid = 0;
    if (entry.exit) entry.exit->at -= trace.wall;
    std::erase_if(entry.text, [](char c) { return c >= '0' && c <= '9'; });
  }
  return to_text(trace);
}

// As long as the random ones.
std::vector<Order> some_orders() {
  std::vector<Order> orders;
  for (const char* words :
       {"own/one exec: pause, exec 2, kill init, disconnect, exec 1 dies, delete exec 1, time "
        "passes",
        "own/empty: create, runtime create creates the process, init dies, disconnect, runtime "
        "create returns",
        "shared/two execs: exec 1 dies, init dies, delete init, runtime kill is killed, kill exec "
        "2",
        "refused/one exec: exec 2, runtime exec 2 creates the process, init dies, runtime exec 2 "
        "returns"})
    orders.push_back(parse_order(words));
  return orders;
}

TEST(Order, IsParsedAsItIsPrinted) {
  for (const auto& setup : setups()) EXPECT_EQ(to_words(Order{&setup, {}}), setup.name + ":");
  for (const Order& order : some_orders()) {
    EXPECT_EQ(to_words(parse_order(to_words(order))), to_words(order));
    EXPECT_EQ(to_words(expand(compact(order))), to_words(order));
  }
  EXPECT_THROW(parse_order("own/running: init flies"), Error);
  EXPECT_THROW(parse_order("nowhere: init dies"), Error);
}

TEST(Order, HasTheSameTraceEachTime) {
  prepare_process();
  const std::string directory = test::world().directory.string() + "/repeated";
  for (const Order& order : some_orders()) {
    std::map<std::string, int> texts;
    for (int time = 0; time < 20; ++time) {
      Trace trace;
      EXPECT_TRUE(run_order(order, directory, &trace).is_possible) << to_words(order);
      ++texts[reproducible_text(std::move(trace))];
    }
    EXPECT_EQ(texts.size(), 1u) << to_words(order) << "\n"
                                << texts.begin()->first << "\n"
                                << texts.rbegin()->first;
  }
}

}  // namespace
}  // namespace thinshim::orders
