// SPDX-License-Identifier: Apache-2.0
#include "shim/publisher.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "events.pb.h"
#include "shim/address.h"
#include "task_events.pb.h"
#include "ttrpc/frame.h"
#include "wire.pb.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstPause = 50ms;
constexpr Duration kLongestPause = 1s;
constexpr Duration kLongestPauseRefused = 30s;

// While more events than this are queued, each start waits this long at most.
constexpr std::size_t kThrottleAbove = 64;
constexpr Duration kThrottle = 2ms;
// Starts do not wait while containerd takes longer than this to answer.
constexpr std::uint64_t kSlowAnswer = 5000;  // milliseconds

// The size limit of a message, less its envelope.
constexpr std::size_t kLargestEvent = kMaxFrameData - 4096;

// Whether containerd has answered with an error: a broken connection and a timeout say nothing
// about the event (ttrpc/client.h).
bool is_refusal(Code code) { return code != Code::unavailable && code != Code::deadline_exceeded; }

}  // namespace

Publisher::Publisher(Loop& loop, Settings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      client_(loop, path_of_address(settings_.address).value_or(settings_.address)) {
  short_queue_.set();
  drained_.set();
  tasks_.spawn(forward_all(), "publish events");
}

void Publisher::publish(const char* topic, const google::protobuf::MessageLite& event) {
  if (settings_.address.empty()) return;
  containerd::services::events::ttrpc::v1::ForwardRequest request;
  auto* envelope = request.mutable_envelope();
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  envelope->mutable_timestamp()->set_seconds(now.tv_sec);
  envelope->mutable_timestamp()->set_nanos(static_cast<std::int32_t>(now.tv_nsec));
  envelope->set_namespace_(settings_.containerd_namespace);
  envelope->set_topic(topic);
  envelope->mutable_event()->set_type_url(event.GetTypeName());
  envelope->mutable_event()->set_value(event.SerializeAsString());
  std::string bytes = request.SerializeAsString();
  if (bytes.size() > kLargestEvent) {
    log::error("event too large: dropped", {{"topic", topic}});
    return;
  }
  if (queued_ >= settings_.max_queued) drop_one();
  queues_[priority_of(topic, event)].push_back({published_++, topic, std::move(bytes)});
  if (++queued_ > kThrottleAbove) short_queue_.clear();
  if (last_ != Outcome::refused) drained_.clear();
  not_empty_.set();
}

Publisher::Priority Publisher::priority_of(const std::string& topic,
                                           const google::protobuf::MessageLite& event) {
  if (topic == kTopicDelete) return kExitOrDelete;
  if (topic != kTopicExit) return kOther;
  const auto& exit = static_cast<const containerd::events::TaskExit&>(event);
  return exit.id() == exit.container_id() ? kExitOrDelete : kExecExit;
}

void Publisher::drop_one() {
  for (std::deque<Item>& queue : queues_) {
    if (queue.empty()) continue;
    if (dropped_++ == 0)
      log::error("event queue full: dropping events", {{"topic", queue.front().topic}});
    queue.pop_front();
    --queued_;
    return;
  }
}

Publisher::Item Publisher::take_first() {
  std::deque<Item>* first = nullptr;
  for (std::deque<Item>& queue : queues_)
    if (!queue.empty() && (!first || queue.front().number < first->front().number)) first = &queue;
  Item item = std::move(first->front());
  first->pop_front();
  return item;
}

Task<> Publisher::forward_all() {
  for (;;) {
    while (queued_ == 0) {
      drained_.set();
      not_empty_.clear();
      co_await not_empty_.wait();
    }
    const Item item = take_first();
    for (Duration pause = kFirstPause;;) {
      const Outcome outcome = co_await forward(item.request);
      unanswered_since_.reset();
      if (outcome != std::exchange(last_, outcome)) pause = kFirstPause;
      if (outcome == Outcome::refused)
        drained_.set();
      else
        drained_.clear();
      if (outcome == Outcome::done) break;
      co_await sleep(loop_, pause);
      pause =
          std::min(2 * pause, outcome == Outcome::refused ? kLongestPauseRefused : kLongestPause);
    }
    if (--queued_ <= kThrottleAbove) short_queue_.set();
    log_dropped();
  }
}

Task<> Publisher::throttle() {
  if (!is_throttled()) co_return;
  Mutex::Guard turn = co_await throttled_.lock();
  if (!is_throttled()) co_return;
  co_await TimedWait(loop_, short_queue_, kThrottle);
}

bool Publisher::is_throttled() const {
  const bool is_slow = unanswered_since_ && loop_.now() - *unanswered_since_ > kSlowAnswer;
  return !short_queue_.is_set() && last_ == Outcome::done && !is_slow;
}

Task<Publisher::Outcome> Publisher::forward(std::string request) {
  Outcome outcome = Outcome::refused;
  unanswered_since_ = loop_.now();
  try {
    co_await client_.call("containerd.services.events.ttrpc.v1.Events", "Forward",
                          std::move(request), settings_.answer_limit);
    co_return Outcome::done;
  } catch (const std::exception& error) {  // of any kind: the queue must not stop
    const Error* failure = dynamic_cast<const Error*>(&error);
    if (failure && !is_refusal(failure->code())) outcome = Outcome::unreachable;
    // On the same connection, the retry would hang as well, or both requests would be published.
    if (failure && failure->code() == Code::deadline_exceeded) client_.close();
    // A retry would fail in the same way.
    if (failure && failure->code() == Code::invalid_argument) outcome = Outcome::done;
    // An outage may last for days: log it once.
    if (outcome == Outcome::done || outcome != last_)
      log::warning("forward event", {{"error", error.what()}});
  }
  co_return outcome;
}

Task<> Publisher::drain(Duration limit) {
  co_await TimedWait(loop_, drained_, limit);
  log_dropped();
  if (queued_ != 0) log::error("events were not delivered", {{"count", std::to_string(queued_)}});
}

void Publisher::log_dropped() {
  if (dropped_ == 0) return;
  log::error("events were dropped", {{"count", std::to_string(std::exchange(dropped_, 0))}});
}

}  // namespace thinshim
