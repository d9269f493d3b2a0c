// SPDX-License-Identifier: Apache-2.0
// What orders rest on: they are what their words say, and they happen alike each time.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "orders/crew.h"
#include "orders/play.h"
#include "support/end_to_end.h"

namespace thinshim::orders {
namespace {

// Pids and the wall clock are the machine's; all else is the script's.
std::string text_without_the_machine(Trace trace) {
  for (Entry& entry : trace.entries) {
    entry.pid = 0;
    if (entry.ended) entry.ended->at -= trace.wall;
    std::erase_if(entry.text, [](char c) { return c >= '0' && c <= '9'; });
  }
  return to_text(trace);
}

// The longest ones that the walks make.
std::vector<Order> some_orders() {
  std::vector<Order> orders;
  for (const char* words :
       {"own/one exec: pause, exec 2, kill init, hang up, exec 1 dies, delete exec 1, time passes",
        "own/empty: create, runtime create makes it, init dies, hang up, runtime create returns",
        "shared/two execs: exec 1 dies, init dies, delete init, runtime kill is killed, kill exec "
        "2",
        "refused/one exec: exec 2, runtime exec 2 makes it, init dies, runtime exec 2 returns"})
    orders.push_back(parse_order(words));
  return orders;
}

TEST(Order, IsWhatItsWordsSay) {
  for (const Scene& scene : scenes()) EXPECT_EQ(to_words(Order{&scene, {}}), scene.name + ":");
  for (const Order& order : some_orders()) {
    EXPECT_EQ(to_words(parse_order(to_words(order))), to_words(order));
    EXPECT_EQ(to_words(expand(compact(order))), to_words(order));
  }
  EXPECT_THROW(parse_order("own/running: init flies"), Error);
  EXPECT_THROW(parse_order("nowhere: init dies"), Error);
}

TEST(Order, HappensAlikeEachTime) {
  prepare_to_play();
  const std::string directory = test::world().directory.string() + "/alike";
  for (const Order& order : some_orders()) {
    std::map<std::string, int> texts;
    for (int time = 0; time < 20; ++time) {
      Trace trace;
      EXPECT_TRUE(play(order, directory, &trace).is_playable) << to_words(order);
      ++texts[text_without_the_machine(std::move(trace))];
    }
    EXPECT_EQ(texts.size(), 1u) << to_words(order) << "\n"
                                << texts.begin()->first << "\n"
                                << texts.rbegin()->first;
  }
}

}  // namespace
}  // namespace thinshim::orders
