// SPDX-License-Identifier: Apache-2.0
// Sends events to containerd: method Forward of containerd.services.events.ttrpc.v1.Events at
// TTRPC_ADDRESS.
//
// Order: one queue. The event at its head is sent until containerd accepts it, for as long as the
// shim runs: an outage of any length delays events, but neither loses nor reorders them. (The stock
// shim drops an event after five tries, some twenty seconds, and newer events overtake it.)
//
// Retries: an event is sent again only if its connection is gone, or after ten minutes without an
// answer, when the connection is closed first. No running containerd takes that long: it answers
// from memory, and one that was stopped or short of memory for seconds would read a second request
// as well. (The stock shim sends again after 5 s, and containerd publishes the event twice.) While
// containerd is unreachable, the pause between tries grows to 1 s. While it answers with an error,
// the pause grows to 30 s, and drain() does not wait. An event that containerd calls invalid, or
// that is above the 4 MiB of a message, is dropped and logged.
//
// Throttling: each event is a round trip, because containerd serves requests in any order. A client
// that starts processes faster than containerd answers would see exits ever later. So while more
// than 64 events are queued, starts run one at a time, and each waits for the queue to shrink, 2 ms
// at most: 500 starts a second. Starts do not wait while containerd is unreachable, answers with
// errors, or has left a call unanswered for five seconds.
//
// Bound: when the queue is full, the publisher drops the oldest event that is neither an exit nor a
// deletion; if there is none, the oldest exit of an exec, whose client has disconnected with
// containerd; else the oldest of all. State still reports the exit of a container until it is
// deleted. The log says that events are dropped, and how many.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "async/sync.h"
#include "task/events.h"
#include "ttrpc/client.h"

namespace thinshim {

class Publisher : public EventSink {
 public:
  struct Settings {
    // PATH of the socket or "unix://PATH", as in the protocol's documentation (containerd,
    // api/runtime/bootstrap/v1/bootstrap.proto). Empty: events are discarded.
    std::string address;
    std::string containerd_namespace;
    std::uint64_t max_queued = 65536;
    // How long to wait for an answer before the connection is closed.
    Duration answer_limit = std::chrono::minutes(10);
  };
  Publisher(Loop& loop, Settings settings);

  void publish(const char* topic, const google::protobuf::MessageLite& event) override;
  Task<> throttle() override;

  // Waits until every event is delivered; returns after `limit`, or when containerd answers with an
  // error. Logs how many were not delivered.
  Task<> drain(Duration limit);
  std::size_t queued() const { return queued_; }

 private:
  // In the order in which events are dropped when the queue is full.
  enum Priority { kOther, kExecExit, kExitOrDelete, kPriorities };
  struct Item {
    std::uint64_t number = 0;
    const char* topic = "";
    std::string request;  // a ForwardRequest
  };
  bool is_throttled() const;
  static Priority priority_of(const std::string& topic, const google::protobuf::MessageLite& event);
  void drop_one();
  Item take_first();
  Task<> forward_all();
  enum class Outcome { done, unreachable, refused };
  Task<Outcome> forward(std::string request);
  void log_dropped();

  Loop& loop_;
  Settings settings_;
  Client client_;
  std::deque<Item> queues_[kPriorities];  // the event with the smallest number is sent first
  std::size_t queued_ = 0;                // including the one that is being sent
  std::uint64_t published_ = 0;
  std::uint64_t dropped_ = 0;  // not yet logged
  Outcome last_ = Outcome::done;
  std::optional<std::uint64_t> unanswered_since_;  // by the loop's clock
  Event not_empty_;
  Event short_queue_;  // starts need not wait
  Mutex throttled_;    // held by the start that waits
  Event drained_;      // the queue is empty, or the last event was refused: drain() returns
  TaskSet tasks_;
};

}  // namespace thinshim
