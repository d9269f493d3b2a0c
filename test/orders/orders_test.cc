// SPDX-License-Identifier: Apache-2.0
// Every order of events keeps the promises of test/RELIABILITY.md. scripts/test runs random orders
// for a minute, scripts/reliability all orders.
//
//   orders_test --order 'own/running: pause, init dies'   runs one, and prints the trace
//   orders_test --seed N [--seconds S]                    random orders
//   orders_test --all [SETUP] [--steps N] [--seconds S]   all, or those after the setups so named
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "orders/explore.h"
#include "orders/order_run.h"
#include "support/end_to_end.h"

namespace thinshim::orders {
namespace {

struct Flags {
  std::string order;
  bool only_orders = false;  // no other test
  bool all = false;
  std::string setup;
  std::uint64_t seed = 0;
  std::size_t steps = kExhaustiveSteps;
  std::int64_t seconds = 0;
};
Flags flags;

constexpr std::int64_t kRandomSeconds = 60;
constexpr std::int64_t kAllSeconds = 20 * 60;

// A new sample each day; the seed is printed.
std::uint64_t seed_of_today() { return static_cast<std::uint64_t>(::time(nullptr)) / 86'400; }

std::size_t pool_size() {
  return static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

Report explore(const std::string& directory) {
  WorkerPool pool(pool_size(), directory);
  Report report = flags.all ? run_all_orders(pool, flags.setup, flags.steps, flags.seed,
                                             flags.seconds ? flags.seconds : kAllSeconds)
                            : run_random_orders(pool, flags.seed,
                                                flags.seconds ? flags.seconds : kRandomSeconds);
  report.minimise(pool);
  return report;
}

int print_order(const std::string& directory) {
  prepare_process();
  Trace trace;
  const Result result = run_order(parse_order(flags.order), directory, &trace);
  std::cout << to_text(trace);
  if (!result.is_possible) std::cout << "a step was not possible when its turn came\n";
  std::cout << "possible steps:";
  for (const Step& step : result.next) std::cout << " " << to_words(step) << ",";
  std::cout << "\n";
  for (const Finding& finding : result.findings)
    std::cout << "BROKEN: " << finding.rule << ": " << finding.reason << ": " << finding.what
              << "\n";
  return result.findings.empty() && result.is_possible ? 0 : 1;
}

// Found by the test below.
TEST(Orders, ThatOnceBrokeAPromiseKeepIt) {
  WorkerPool pool(pool_size(), test::world().directory.string() + "/once");
  for (const char* words :
       {// One refused signal lost the exit.
        "refused/one exec: init dies",
        // The start of an exec was published, but its client got an error.
        "refused/running: exec 1, runtime exec 1 creates the process, init dies, runtime exec 1 "
        "returns",
        // A hung start delayed the exit without limit, and the deletion had none either.
        "own/created: start, init dies, delete init", "own/created: start, delete init",
        "own/running: exec 1, delete exec 1",
        // Events were published after init's exit.
        "own/running: pause, init dies, runtime pause returns",
        "own/running: pause, runtime pause returns, resume, init dies, runtime resume returns",
        // State reported a dead process as running or pausing.
        "own/running: exec 1, init dies, delete init", "own/running: pause, init dies",
        // A SIGKILL to a dead process waited for a deletion.
        "own/running: pause, init dies, delete init, kill init",
        // A deletion published an exit that was not the process's.
        "shared/created: delete init, init dies, runtime delete returns",
        // After a failed Create, a hung `state` used up the time limit of the removal.
        "own/empty: create, runtime create creates the process, runtime create fails",
        // A container that was created after its client had disconnected kept running.
        "own/empty: create, disconnect, runtime create returns",
        // An exec was not killed with its container, because the runtime's kill hung.
        "lost/created: exec 1, delete init, runtime exec 1 returns, init dies, runtime delete "
        "returns"}) {
    const Result result = pool.run(parse_order(words));
    EXPECT_TRUE(result.is_possible) << words;
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
  flags.all = how != nullptr && std::strcmp(how, "full") == 0;
  flags.seed = seed_of_today();
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--order") flags.order = value;
    if (word == "--seed" || word == "--all") flags.only_orders = true;
    if (word == "--seed") flags.seed = std::strtoull(value.c_str(), nullptr, 10);
    if (word == "--seconds") flags.seconds = std::atol(value.c_str());
    if (word == "--steps") flags.steps = static_cast<std::size_t>(std::atol(value.c_str()));
    if (word == "--all") flags.all = true;
    if (word == "--all" && !value.starts_with("--")) flags.setup = value;
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
      if (!orders::flags.order.empty()) return orders::print_order(world.directory);
      testing::InitGoogleTest(&argc, argv);
      if (orders::flags.only_orders) testing::GTEST_FLAG(filter) = "Orders.KeepEveryPromise";
      return RUN_ALL_TESTS();
    });
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
