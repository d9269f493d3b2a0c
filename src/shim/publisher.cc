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

// What a message may hold, less what goes around the event.
constexpr std::size_t kLargestEvent = kMaxFrameData - 4096;

bool is_dispensable(std::string_view topic) { return topic != kTopicExit && topic != kTopicDelete; }

}  // namespace

Publisher::Publisher(Loop& loop, Settings settings)
    : loop_(loop), settings_(std::move(settings)), client_(loop, settings_.address) {
  emptied_.set();
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
  emptied_.clear();
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
      emptied_.set();
      filled_.clear();
      co_await filled_.wait();
    }
    Task<bool> forwarding = forward(queue_.front().request);
    bool done = co_await std::move(forwarding);
    if (done) {
      queue_.pop_front();
      pause = kFirstPause;
      continue;
    }
    co_await sleep(loop_, pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

// Whether the event needs no further try.
Task<bool> Publisher::forward(std::string request) {
  try {
    Task<std::string> calling = client_.call("containerd.services.events.ttrpc.v1.Events",
                                             "Forward", std::move(request), kCallLimit);
    co_await std::move(calling);
    failing_ = false;
    co_return true;
  } catch (const std::exception& error) {  // whatever it is, the events behind this one must go on
    // containerd will not like it better the next time.
    const Error* refusal = dynamic_cast<const Error*>(&error);
    const bool for_good = refusal && refusal->code() == Code::invalid_argument;
    // An outage may last for days: one line is enough.
    if (for_good || !std::exchange(failing_, true))
      log::warning("forward event", {{"error", error.what()}});
    if (for_good) co_return true;
  }
  co_return false;
}

Task<> Publisher::drain(Duration limit) {
  if (queue_.empty()) co_return;
  bool empty = co_await TimedWait(loop_, emptied_, limit);
  if (!empty) log::error("events were not delivered", {{"count", std::to_string(queue_.size())}});
}

}  // namespace thinshim
