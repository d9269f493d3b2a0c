// SPDX-License-Identifier: Apache-2.0
// Checks published events against the promises of task/container.h about their order.
#pragma once

#include <map>
#include <set>
#include <string>

#include "fuzz/fuzz.h"
#include "task/events.h"
#include "task_events.pb.h"

namespace thinshim::fuzz {

class EventOrder : public EventSink {
 public:
  void publish(const char* topic, const google::protobuf::MessageLite& event) override {
    const std::string_view name = topic;
    if (const auto* create = dynamic_cast<const containerd::events::TaskCreate*>(&event)) {
      expect(name == kTopicCreate, "a creation is message as one");
      expect(lives_.emplace(create->container_id(), Life()).second, "one life follows another");
    } else if (const auto* start = dynamic_cast<const containerd::events::TaskStart*>(&event)) {
      Life& life = life_of(start->container_id());
      expect(!life.started && !life.ended, "a start is message once, and before the exit");
      life.started = true;
    } else if (const auto* run = dynamic_cast<const containerd::events::TaskExecStarted*>(&event)) {
      Life& life = life_of(run->container_id());
      expect(!life.ended, "no exec is started after init's exit");
      expect(life.execs.insert(run->exec_id()).second, "an exec's start is message once");
    } else if (const auto* exit = dynamic_cast<const containerd::events::TaskExit*>(&event)) {
      tell_exit(life_of(exit->container_id()), exit->id(), exit->container_id());
    } else if (const auto* end = dynamic_cast<const containerd::events::TaskDelete*>(&event)) {
      const Life& life = life_of(end->container_id());
      expect(life.ended || !life.started, "the deletion is message after the exit");
      lives_.erase(end->container_id());
    } else {
      check_life(event);
    }
  }

 private:
  struct Life {
    bool started = false;
    bool ended = false;
    std::set<std::string> execs;  // their exit is to come
  };
  Life& life_of(const std::string& id) {
    const auto life = lives_.find(id);
    expect(life != lives_.end(), "nothing is message before the creation, or after the deletion");
    return life->second;
  }
  template <class Event>
  bool check_event_of_life(const google::protobuf::MessageLite& event) {
    const auto* message = dynamic_cast<const Event*>(&event);
    if (message) life_of(message->container_id());
    return message;
  }
  void check_life(const google::protobuf::MessageLite& event) {
    expect(check_event_of_life<containerd::events::TaskExecAdded>(event) ||
               check_event_of_life<containerd::events::TaskPaused>(event) ||
               check_event_of_life<containerd::events::TaskResumed>(event) ||
               check_event_of_life<containerd::events::TaskCheckpointed>(event) ||
               check_event_of_life<containerd::events::TaskOOM>(event),
           "an event is one that is known");
  }
  void tell_exit(Life& life, const std::string& id, const std::string& container) {
    if (id != container) return expect(life.execs.erase(id) == 1, "an exec's exit is message once");
    expect(!life.ended, "init's exit is message once");
    expect(life.execs.empty(), "execs' exits are message before init's");
    life.ended = true;
  }

  std::map<std::string, Life> lives_;
};

}  // namespace thinshim::fuzz
