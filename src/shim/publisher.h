// SPDX-License-Identifier: Apache-2.0
// Sends events to containerd: method Forward of containerd.services.events.ttrpc.v1.Events at
// TTRPC_ADDRESS.
//
// One queue, in order. The event at its head is tried until containerd has taken it, for as long as
// the shim lives, so an outage of any length delays events but neither loses nor reorders them (the
// stock shim drops an event after five tries, some twenty seconds, and lets newer ones pass it).
// Nobody waits for the queue but the shim's own end.
//
// An event is sent again only where the first request cannot have an answer any more: its
// connection is gone, or ten minutes have passed, which no living containerd takes (it answers from
// memory; one that is stopped or starved for memory takes seconds, and has then read a second
// request too). A connection without an answer for that long is closed. The stock shim sends again
// after 5 s, and containerd tells the event twice.
//
// A containerd that is away is asked again after a second at most. One that answers with an error
// is not in want of a reminder: it is asked after twice the time each time, up to half a minute,
// and at its end the shim doesn't wait for it. An event that it calls invalid, or that is above the
// 4 MiB of a message, is given up: the log says so.
//
// Each event is a round trip of its own, for containerd serves requests in any order. Whoever
// starts processes faster than it answers would see their exits ever later; so where more than a
// few events are on their way, starts come one after the other, and each waits for them for two
// milliseconds at most, so that there are 500 starts a second: long enough for a containerd that is
// well. Starts wait for none that has left a call without an answer for five seconds.
//
// Where containerd never comes back the queue is bounded: over the bound the oldest event goes that
// is neither an exit nor a deletion; where there is none, the oldest exit of an exec, whose client
// has gone with containerd; and at last the oldest of all. State tells the end of a container until
// it is deleted. The log says that events are being dropped, and how many they were.
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
    // Path of the socket; as "unix://PATH" too, which the protocol's text shows (containerd,
    // api/runtime/bootstrap/v1/bootstrap.proto). Empty: events go nowhere.
    std::string address;
    std::string containerd_namespace;
    std::uint64_t max_queued = 65536;
    // How long an answer is waited for on a connection that lives.
    Duration answer_limit = std::chrono::minutes(10);
  };
  Publisher(Loop& loop, Settings settings);

  void publish(const char* topic, const google::protobuf::MessageLite& event) override;
  Task<> throttle() override;

  // Waits until every event is delivered, for at most `limit`, and only as long as containerd does
  // not answer with an error. What stays is told in the log.
  Task<> drain(Duration limit);
  std::size_t queued() const { return queued_; }

 private:
  // In the order in which they go where there is no room for all.
  enum Rank { kNews, kExecExit, kEnd, kRanks };
  struct Item {
    std::uint64_t number = 0;
    const char* topic = "";
    std::string request;  // a ForwardRequest
  };
  bool has_nothing_to_wait_for() const;
  static Rank rank_of(const std::string& topic, const google::protobuf::MessageLite& event);
  void make_room();
  Item take_first();
  Task<> forward_all();
  enum class Outcome { done, unreachable, refused };
  Task<Outcome> forward(std::string request);
  void tell_dropped();

  Loop& loop_;
  Settings settings_;
  Client client_;
  std::deque<Item> queues_[kRanks];  // the first of all is the one with the smallest number
  std::size_t queued_ = 0;           // with the one that is being sent
  std::uint64_t published_ = 0;
  std::uint64_t dropped_ = 0;  // of which the log does not yet say how many
  Outcome last_ = Outcome::done;
  std::optional<std::uint64_t> unanswered_since_;  // by the loop's clock
  Event filled_;
  Event few_;  // on their way
  Mutex pace_;
  Event settled_;  // nothing is to be waited for: no event, or the last one was refused
  TaskSet tasks_;
};

}  // namespace thinshim
