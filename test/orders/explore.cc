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

// How much time there is, and how fast it goes.
class Pace {
 public:
  explicit Pace(std::int64_t seconds) : end_(begin_ + 1000 * seconds) {}
  bool is_over() const { return real_ms() >= end_; }
  double seconds() const { return static_cast<double>(real_ms() - begin_) / 1000; }
  double rate(std::size_t count) const { return static_cast<double>(count) / seconds(); }

 private:
  std::int64_t begin_ = real_ms();
  std::int64_t end_;
};

// What findings of one kind have in common.
std::string kind_of(const Finding& finding) { return finding.rule + ": " + finding.reason; }

bool breaks(const Result& result, const std::string& kind) {
  return result.is_playable && std::ranges::any_of(result.findings, [&](const Finding& finding) {
           return kind_of(finding) == kind;
         });
}

// Takes one step away after the other, as long as the finding stays.
Order minimal(Crew& crew, Order order, const std::string& kind) {
  for (std::size_t i = order.steps.size(); i-- > 0;) {
    Order shorter = order;
    shorter.steps.erase(shorter.steps.begin() + static_cast<std::ptrdiff_t>(i));
    if (breaks(crew.run(shorter), kind)) order = shorter;
  }
  return order;
}

}  // namespace

void Report::take(const Result& result) {
  ++orders_;
  std::set<std::string> seen;
  for (const Finding& finding : result.findings) {
    if (!seen.insert(kind_of(finding)).second) continue;
    Broken& broken = broken_[kind_of(finding)];
    ++broken.count;
    const auto size = [](const Example& example) {
      return example.order.scene->before.size() + example.order.steps.size();
    };
    const Example found{result.order, finding.what};
    broken.examples.insert(
        std::ranges::upper_bound(broken.examples, size(found), std::ranges::less(), size), found);
    if (broken.examples.size() > kExamples) broken.examples.pop_back();
  }
}

void Report::minimise(Crew& crew) {
  for (auto& [kind, broken] : broken_)
    for (Example& example : broken.examples) {
      example.order = minimal(crew, example.order, kind);
      for (const Finding& finding : crew.run(example.order).findings)
        if (kind_of(finding) == kind) example.what = finding.what;
    }
}

std::string Report::text() const {
  std::string text;
  for (const auto& [kind, broken] : broken_) {
    text += "\nBroken in " + std::to_string(broken.count) + " orders: " + kind + "\n";
    std::set<std::string> seen;
    for (const Example& example : broken.examples) {
      const std::string words = to_words(example.order);
      if (seen.insert(words).second)
        text += "  orders_test --order '" + words + "'\n      " + example.what + "\n";
    }
  }
  return text;
}

Report sample(Crew& crew, std::uint64_t seed, std::int64_t seconds) {
  Report report;
  const Pace pace(seconds);
  std::mt19937_64 random(seed);
  std::set<std::string> different;
  crew.work(
      [&]() -> std::optional<std::string> {
        if (pace.is_over()) return std::nullopt;
        return "walk " + std::to_string(random()) + " " + std::to_string(kLength);
      },
      [&](const Result& result) {
        different.insert(to_words(result.order));
        report.take(result);
      });
  std::printf("orders: seed %llu: %zu at random, %zu different, in %.0f s, %.0f a second\n",
              static_cast<unsigned long long>(seed), report.orders(), different.size(),
              pace.seconds(), pace.rate(report.orders()));
  return report;
}

Report enumerate(Crew& crew, const std::string& scene, std::size_t length, std::uint64_t seed,
                 std::int64_t seconds) {
  std::mt19937_64 random(seed);
  Report report;
  const Pace pace(seconds);
  std::deque<Compact> level;
  for (const Scene& one : scenes())
    if (one.name.starts_with(scene)) level.push_back(compact({&one, {}}));
  for (std::size_t steps = 0; steps <= length && !level.empty(); ++steps) {
    const std::size_t all = level.size();
    std::ranges::shuffle(level, random);
    std::deque<Compact> longer;
    std::unordered_set<std::uint64_t> situations;
    crew.work(
        [&]() -> std::optional<std::string> {
          if (level.empty() || pace.is_over()) return std::nullopt;
          const Order order = expand(level.front());
          level.pop_front();
          return to_words(order);
        },
        [&](Result result) {
          report.take(result);
          if (steps == length || !situations.insert(result.situation).second) return;
          for (const Step& step : result.next) {
            Order order = result.order;
            order.steps.push_back(step);
            longer.push_back(compact(order));
          }
        });
    std::printf("orders of %zu steps: %zu played of %zu, %zu situations; %.0f s, %.0f a second\n",
                steps, all - level.size(), all, situations.size(), pace.seconds(),
                pace.rate(report.orders()));
    std::fflush(stdout);
    if (!level.empty()) break;
    level = std::move(longer);
  }
  return report;
}

}  // namespace thinshim::orders
