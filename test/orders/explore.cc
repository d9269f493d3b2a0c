// SPDX-License-Identifier: Apache-2.0
#include "orders/explore.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <random>
#include <set>
#include <unordered_set>

#include "orders/kernel.h"

namespace thinshim::orders {
namespace {

constexpr std::size_t kExamples = 3;

// The time limit, and the orders per second.
class Stopwatch {
 public:
  explicit Stopwatch(std::int64_t seconds) : end_(begin_ + 1000 * seconds) {}
  bool is_over() const { return real_ms() >= end_; }
  double seconds() const { return static_cast<double>(real_ms() - begin_) / 1000; }
  double rate(std::size_t count) const { return static_cast<double>(count) / seconds(); }

 private:
  std::int64_t begin_ = real_ms();
  std::int64_t end_;
};

std::string kind_of(const Finding& finding) { return finding.rule + ": " + finding.reason; }

bool has_finding(const Result& result, const std::string& kind) {
  return result.is_possible && std::ranges::any_of(result.findings, [&](const Finding& finding) {
           return kind_of(finding) == kind;
         });
}

// Removes each step without which the finding remains.
Order minimal(WorkerPool& pool, Order order, const std::string& kind) {
  for (std::size_t i = order.steps.size(); i-- > 0;) {
    Order shorter = order;
    shorter.steps.erase(shorter.steps.begin() + static_cast<std::ptrdiff_t>(i));
    if (has_finding(pool.run(shorter), kind)) order = shorter;
  }
  return order;
}

}  // namespace

void Report::add(const Result& result) {
  ++orders_;
  std::set<std::string> seen;
  for (const Finding& finding : result.findings) {
    if (!seen.insert(kind_of(finding)).second) continue;
    Violation& violation = violations_[kind_of(finding)];
    ++violation.count;
    const auto size = [](const Example& example) {
      return example.order.setup->steps.size() + example.order.steps.size();
    };
    const Example found{result.order, finding.what};
    violation.examples.insert(
        std::ranges::upper_bound(violation.examples, size(found), std::ranges::less(), size),
        found);
    if (violation.examples.size() > kExamples) violation.examples.pop_back();
  }
}

void Report::minimise(WorkerPool& pool) {
  for (auto& [kind, violation] : violations_)
    for (Example& example : violation.examples) {
      example.order = minimal(pool, example.order, kind);
      for (const Finding& finding : pool.run(example.order).findings)
        if (kind_of(finding) == kind) example.what = finding.what;
    }
}

std::string Report::text() const {
  std::string text;
  for (const auto& [kind, violation] : violations_) {
    text += "\nBroken in " + std::to_string(violation.count) + " orders: " + kind + "\n";
    std::set<std::string> seen;
    for (const Example& example : violation.examples) {
      const std::string words = to_words(example.order);
      if (seen.insert(words).second)
        text += "  orders_test --order '" + words + "'\n      " + example.what + "\n";
    }
  }
  return text;
}

Report run_random_orders(WorkerPool& pool, std::uint64_t seed, std::int64_t seconds) {
  Report report;
  const Stopwatch stopwatch(seconds);
  std::mt19937_64 random(seed);
  std::set<std::string> different;
  pool.run_all(
      [&]() -> std::optional<std::string> {
        if (stopwatch.is_over()) return std::nullopt;
        return "random " + std::to_string(random()) + " " + std::to_string(kRandomSteps);
      },
      [&](const Result& result) {
        different.insert(to_words(result.order));
        report.add(result);
      });
  std::printf("orders: seed %llu: %zu at random, %zu different, in %.0f s, %.0f a second\n",
              static_cast<unsigned long long>(seed), report.orders(), different.size(),
              stopwatch.seconds(), stopwatch.rate(report.orders()));
  return report;
}

Report run_all_orders(WorkerPool& pool, const std::string& setup, std::size_t length,
                      std::uint64_t seed, std::int64_t seconds) {
  std::mt19937_64 random(seed);
  Report report;
  const Stopwatch stopwatch(seconds);
  std::deque<Compact> level;
  for (const Setup& one : setups())
    if (one.name.starts_with(setup)) level.push_back(compact({&one, {}}));
  for (std::size_t steps = 0; steps <= length && !level.empty(); ++steps) {
    const std::size_t all = level.size();
    std::ranges::shuffle(level, random);
    std::deque<Compact> longer;
    std::unordered_set<std::uint64_t> fingerprints;
    pool.run_all(
        [&]() -> std::optional<std::string> {
          if (level.empty() || stopwatch.is_over()) return std::nullopt;
          const Order order = expand(level.front());
          level.pop_front();
          return to_words(order);
        },
        [&](Result result) {
          report.add(result);
          if (steps == length || !fingerprints.insert(result.fingerprint).second) return;
          for (const Step& step : result.next) {
            Order order = result.order;
            order.steps.push_back(step);
            longer.push_back(compact(order));
          }
        });
    std::printf("orders of %zu steps: %zu of %zu, %zu different states; %.0f s, %.0f a second\n",
                steps, all - level.size(), all, fingerprints.size(), stopwatch.seconds(),
                stopwatch.rate(report.orders()));
    std::fflush(stdout);
    if (!level.empty()) break;
    level = std::move(longer);
  }
  return report;
}

}  // namespace thinshim::orders
