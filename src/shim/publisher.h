// SPDX-License-Identifier: Apache-2.0
// Sends events to containerd: method Forward of containerd.services.events.ttrpc.v1.Events at
// TTRPC_ADDRESS.
//
// One queue, in order. The event at its head is tried until containerd has taken it, for as long as
// the shim lives, so an outage of any length delays events but neither loses nor reorders them (the
// stock shim drops an event after five tries, some twenty seconds, and lets newer ones pass it).
// Nobody waits for the queue but the shim's own end.
//
// An event that containerd calls invalid, or that is above the 4 MiB of a message, is given up: the
// log says so.
//
// Where containerd never comes back the queue is bounded: over the bound, the oldest event goes
// that is neither an exit nor a deletion, and the log says so. Exits and deletions are kept in any
// case.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "async/sync.h"
#include "task/events.h"
#include "ttrpc/client.h"

namespace thinshim {

class Publisher : public EventSink {
 public:
  struct Settings {
    std::string address;  // path of the socket; empty: events go nowhere
    std::string containerd_namespace;
    std::uint64_t max_queued = 65536;
  };
  Publisher(Loop& loop, Settings settings);

  void publish(const char* topic, const google::protobuf::MessageLite& event) override;

  // Waits until every event is delivered, for at most `limit`.
  Task<> drain(Duration limit);
  std::size_t queued() const { return queue_.size(); }

 private:
  struct Item {
    const char* topic;
    std::string request;  // a ForwardRequest
  };
  Task<> forward_all();
  Task<bool> forward(std::string request);
  void make_room();

  Loop& loop_;
  Settings settings_;
  Client client_;
  std::deque<Item> queue_;  // the first is being sent
  bool failing_ = false;    // the last attempt did, and the log says so
  Event filled_;
  Event emptied_;
  TaskSet tasks_;
};

}  // namespace thinshim
