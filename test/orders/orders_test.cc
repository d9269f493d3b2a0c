// SPDX-License-Identifier: Apache-2.0
// Whether every order of things keeps what test/RELIABILITY.md promises. In scripts/test a minute
// of orders at random, in scripts/reliability all of them.
//
//   orders_test --order 'own/running: pause, init dies'   plays one, and prints what happens
//   orders_test --seed N [--seconds S]                    walks at random
//   orders_test --all [SCENE] [--steps N] [--seconds S]   all, or those of the scenes named so
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "orders/explore.h"
#include "orders/play.h"
#include "support/end_to_end.h"

namespace thinshim::orders {
namespace {

struct Wishes {
  std::string order;
  bool orders_alone = false;  // no other test
  bool all = false;
  std::string scene;
  std::uint64_t seed = 0;
  std::size_t steps = kAllLength;
  std::int64_t seconds = 0;
};
Wishes wishes;

constexpr std::int64_t kSample = 60;
constexpr std::int64_t kAll = 20 * 60;

// Another each day, so that in time much is tried; it is printed.
std::uint64_t seed_of_today() { return static_cast<std::uint64_t>(::time(nullptr)) / 86'400; }

std::size_t crew_size() {
  return static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

Report explore(const std::string& directory) {
  Crew crew(crew_size(), directory);
  Report report = wishes.all ? enumerate(crew, wishes.scene, wishes.steps, wishes.seed,
                                         wishes.seconds ? wishes.seconds : kAll)
                             : sample(crew, wishes.seed, wishes.seconds ? wishes.seconds : kSample);
  report.minimise(crew);
  return report;
}

int print_order(const std::string& directory) {
  prepare_to_play();
  Trace trace;
  const Result result = play(parse_order(wishes.order), directory, &trace);
  std::cout << to_text(trace);
  if (!result.is_playable) std::cout << "a step was not possible when its turn came\n";
  std::cout << "may come next:";
  for (const Step& step : result.next) std::cout << " " << to_words(step) << ",";
  std::cout << "\n";
  for (const Finding& finding : result.findings)
    std::cout << "BROKEN: " << finding.rule << ": " << finding.reason << ": " << finding.what
              << "\n";
  return result.findings.empty() && result.is_playable ? 0 : 1;
}

// Found by the walks and the search below, and shortened by them.
TEST(Orders, ThatOnceBrokeAPromiseKeepIt) {
  Crew crew(crew_size(), test::world().directory.string() + "/once");
  for (const char* words :
       {// One signal that was refused lost the exit for ever.
        "refused/one exec: init dies",
        // An exec was told as started, and its client that it was not.
        "refused/running: exec 1, runtime exec 1 makes it, init dies, runtime exec 1 returns",
        // A hung start withheld the exit, and the deletion had no bound.
        "own/created: start, init dies, delete init", "own/created: start, delete init",
        "own/running: exec 1, delete exec 1",
        // Events came behind init's exit.
        "own/running: pause, init dies, runtime pause returns",
        "own/running: pause, runtime pause returns, resume, init dies, runtime resume returns",
        // A dead process was said to be running, or pausing.
        "own/running: exec 1, init dies, delete init", "own/running: pause, init dies",
        // A SIGKILL to who was dead waited for a deletion.
        "own/running: pause, init dies, delete init, kill init",
        // A deletion told an exit of its own making.
        "shared/created: delete init, init dies, runtime delete returns",
        // A hung question about what a failed Create has left took the time of its removal.
        "own/empty: create, runtime create makes it, runtime create fails",
        // A container that was made too late for its client was forgotten, and lived.
        "own/empty: create, hang up, runtime create returns",
        // An exec was not killed with its container, because the runtime hung that was to do it.
        "lost/created: exec 1, delete init, runtime exec 1 returns, init dies, runtime delete "
        "returns"}) {
    const Result result = crew.run(parse_order(words));
    EXPECT_TRUE(result.is_playable) << words;
    for (const Finding& finding : result.findings)
      ADD_FAILURE() << words << "\n"
                    << finding.rule << ": " << finding.reason << ": " << finding.what;
  }
}

TEST(Orders, KeepEveryPromise) {
  const Report report = explore(test::world().directory);
  EXPECT_GT(report.orders(), 0u);
  EXPECT_TRUE(report.empty()) << report.text();
}

void parse(int argc, char** argv) {
  const char* how = std::getenv("THINSHIM_RELIABILITY");
  wishes.all = how != nullptr && std::strcmp(how, "full") == 0;
  wishes.seed = seed_of_today();
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--order") wishes.order = value;
    if (word == "--seed" || word == "--all") wishes.orders_alone = true;
    if (word == "--seed") wishes.seed = std::strtoull(value.c_str(), nullptr, 10);
    if (word == "--seconds") wishes.seconds = std::atol(value.c_str());
    if (word == "--steps") wishes.steps = static_cast<std::size_t>(std::atol(value.c_str()));
    if (word == "--all") wishes.all = true;
    if (word == "--all" && !value.starts_with("--")) wishes.scene = value;
  }
}

}  // namespace
}  // namespace thinshim::orders

int main(int argc, char** argv) {
  using namespace thinshim;
  try {
    return test::run_in_own_namespaces([&](const test::World& world) {
      test::set_world(world);
      orders::parse(argc, argv);
      if (!orders::wishes.order.empty()) return orders::print_order(world.directory);
      testing::InitGoogleTest(&argc, argv);
      if (orders::wishes.orders_alone) testing::GTEST_FLAG(filter) = "Orders.KeepEveryPromise";
      return RUN_ALL_TESTS();
    });
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
