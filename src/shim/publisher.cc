// SPDX-License-Identifier: Apache-2.0
#include "shim/publisher.h"

#include <time.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "events.pb.h"
#include "ttrpc/frame.h"
#include "wire.pb.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kCallLimit = 5s;  // the stock shim's
constexpr Duration kFirstPause = 50ms;
constexpr Duration kLongestPause = 1s;
constexpr Duration kLongestPauseRefused = 30s;

// What a message may hold, less what goes around the event.
constexpr std::size_t kLargestEvent = kMaxFrameData - 4096;

// Whether containerd has answered: a connection that fails, or an answer that does not come in
// time, says nothing about the event (ttrpc/client.h).
bool is_refusal(Code code) { return code != Code::unavailable && code != Code::deadline_exceeded; }

bool is_dispensable(std::string_view topic) { return topic != kTopicExit && topic != kTopicDelete; }

}  // namespace

Publisher::Publisher(Loop& loop, Settings settings)
    : loop_(loop), settings_(std::move(settings)), client_(loop, settings_.address) {
  settled_.set();
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
    log::error("an event is dropped: it is too large", {{"topic", topic}});
    return;
  }
  make_room();
  queue_.push_back({topic, std::move(bytes)});
  if (last_ != Outcome::refused) settled_.clear();
  filled_.set();
}

void Publisher::make_room() {
  if (queue_.size() < settings_.max_queued || queue_.empty()) return;
  auto dispensable = std::find_if(queue_.begin() + 1, queue_.end(),
                                  [](const Item& item) { return is_dispensable(item.topic); });
  if (dispensable == queue_.end()) return;
  log::error("an event is dropped: containerd takes none", {{"topic", dispensable->topic}});
  queue_.erase(dispensable);
}

Task<> Publisher::forward_all() {
  Duration pause = kFirstPause;
  for (;;) {
    while (queue_.empty()) {
      settled_.set();
      filled_.clear();
      co_await filled_.wait();
    }
    Task<Outcome> forwarding = forward(queue_.front().request);
    const Outcome outcome = co_await std::move(forwarding);
    if (outcome != std::exchange(last_, outcome)) pause = kFirstPause;
    if (outcome == Outcome::refused)
      settled_.set();
    else
      settled_.clear();
    if (outcome == Outcome::done) {
      queue_.pop_front();
      continue;
    }
    co_await sleep(loop_, pause);
    pause = std::min(2 * pause, outcome == Outcome::refused ? kLongestPauseRefused : kLongestPause);
  }
}

Task<Publisher::Outcome> Publisher::forward(std::string request) {
  Outcome outcome = Outcome::refused;
  try {
    Task<std::string> calling = client_.call("containerd.services.events.ttrpc.v1.Events",
                                             "Forward", std::move(request), kCallLimit);
    co_await std::move(calling);
    co_return Outcome::done;
  } catch (const std::exception& error) {  // whatever it is, the events behind this one must go on
    const Error* failure = dynamic_cast<const Error*>(&error);
    if (failure && !is_refusal(failure->code())) outcome = Outcome::unreachable;
    // containerd will not like it better the next time.
    if (failure && failure->code() == Code::invalid_argument) outcome = Outcome::done;
    // An outage may last for days: one line is enough.
    if (outcome == Outcome::done || outcome != last_)
      log::warning("forward event", {{"error", error.what()}});
  }
  co_return outcome;
}

Task<> Publisher::drain(Duration limit) {
  co_await TimedWait(loop_, settled_, limit);
  if (!queue_.empty())
    log::error("events were not delivered", {{"count", std::to_string(queue_.size())}});
}

}  // namespace thinshim
