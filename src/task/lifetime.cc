// SPDX-License-Identifier: Apache-2.0
#include "task/lifetime.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace thinshim {
namespace {

constexpr std::size_t kMostExpected = 1024;

}  // namespace

Lifetime::Lifetime(Loop& loop, Settings settings) : loop_(loop), settings_(std::move(settings)) {
  idle_ = in(std::max(settings_.idle_timeout, settings_.expectation));
  watching_.spawn(watch(), "watch the shim's deadlines");
}

std::uint64_t Lifetime::in(Duration time) const {
  return loop_.now() + static_cast<std::uint64_t>(time.count());
}

void Lifetime::expect(const std::string& id) {
  if (expected_.size() >= kMostExpected) return;
  expected_[id] = in(settings_.expectation);
  update();
}

void Lifetime::arrived(const std::string& id) {
  expected_.erase(id);
  update();
}

void Lifetime::set_work(Work work) {
  if (std::exchange(work_, work) != work) idle_.reset();
  update();
}

void Lifetime::ask_for_end() {
  end_is_asked_ = true;
  if (!is_wanted()) settings_.end();
}

void Lifetime::update() {
  if (work_ == Work::none && !idle_) idle_ = in(settings_.idle_timeout);
  if (is_wanted() || !end_is_asked_)
    farewell_.reset();
  else if (!farewell_)
    farewell_ = in(settings_.farewell);
  changed_.set();
}

Lifetime::Deadline Lifetime::next() const {
  Deadline first;
  const auto consider = [&](const Deadline& deadline) {
    if (deadline && (!first || *deadline < *first)) first = deadline;
  };
  for (const auto& [id, until] : expected_) consider(until);
  if (!expects()) consider(idle_);
  consider(farewell_);
  return first;
}

void Lifetime::end_what_is_over() {
  const std::uint64_t now = loop_.now();
  if (std::erase_if(expected_, [&](const auto& entry) { return entry.second <= now; }) > 0)
    update();
  const auto is_over = [&](Deadline& deadline) {
    const bool over = deadline && *deadline <= now;
    if (over) deadline.reset();
    return over;
  };
  const bool is_idle_over = !expects() && is_over(idle_);
  if (is_idle_over) log::info("there is no container any more, and nobody has asked for the end");
  const bool is_farewell_over = is_over(farewell_);
  if (is_idle_over || is_farewell_over) settings_.end();
}

Task<> Lifetime::watch() {
  for (;;) {
    changed_.clear();
    const Deadline deadline = next();
    if (!deadline) {
      co_await changed_.wait();
      continue;
    }
    const std::uint64_t now = loop_.now();
    if (*deadline > now) {
      const Duration left(static_cast<std::int64_t>(*deadline - now));
      co_await TimedWait(loop_, changed_, left);
    }
    end_what_is_over();
  }
}

}  // namespace thinshim
