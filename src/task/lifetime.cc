// SPDX-License-Identifier: Apache-2.0
#include "task/lifetime.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace thinshim {
namespace {

constexpr std::size_t kMaxExpected = 1024;

}  // namespace

Lifetime::Lifetime(Loop& loop, Settings settings) : loop_(loop), settings_(std::move(settings)) {
  idle_deadline_ = after(std::max(settings_.idle_timeout, settings_.expect_timeout));
  watching_.spawn(watch(), "watch the shim's deadlines");
}

std::uint64_t Lifetime::after(Duration time) const {
  return loop_.now() + static_cast<std::uint64_t>(time.count());
}

void Lifetime::expect(const std::string& id) {
  if (expected_.size() >= kMaxExpected) return;
  expected_[id] = after(settings_.expect_timeout);
  update();
}

void Lifetime::arrived(const std::string& id) {
  expected_.erase(id);
  update();
}

void Lifetime::set_work(Work work) {
  if (std::exchange(work_, work) != work) idle_deadline_.reset();
  update();
}

void Lifetime::request_shutdown() {
  shutdown_requested_ = true;
  if (!is_needed()) settings_.end();
}

void Lifetime::update() {
  if (work_ == Work::none && !idle_deadline_) idle_deadline_ = after(settings_.idle_timeout);
  if (is_needed() || !shutdown_requested_)
    shutdown_deadline_.reset();
  else if (!shutdown_deadline_)
    shutdown_deadline_ = after(settings_.shutdown_delay);
  changed_.set();
}

Lifetime::Deadline Lifetime::next() const {
  Deadline first;
  const auto consider = [&](const Deadline& deadline) {
    if (deadline && (!first || *deadline < *first)) first = deadline;
  };
  for (const auto& [id, until] : expected_) consider(until);
  if (!expects()) consider(idle_deadline_);
  consider(shutdown_deadline_);
  return first;
}

void Lifetime::handle_deadlines() {
  const std::uint64_t now = loop_.now();
  if (std::erase_if(expected_, [&](const auto& entry) { return entry.second <= now; }) > 0)
    update();
  const auto is_over = [&](Deadline& deadline) {
    const bool over = deadline && *deadline <= now;
    if (over) deadline.reset();
    return over;
  };
  const bool is_idle_over = !expects() && is_over(idle_deadline_);
  if (is_idle_over) log::info("no container and no Shutdown within idle_timeout: exiting");
  const bool is_shutdown_over = is_over(shutdown_deadline_);
  if (is_idle_over || is_shutdown_over) settings_.end();
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
    handle_deadlines();
  }
}

}  // namespace thinshim
