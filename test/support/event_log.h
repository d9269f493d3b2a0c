// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "support/ctr.h"

namespace thinshim::test {

// An event as `ctr events` prints it.
struct TaskEvent {
  std::string topic;  // without the leading "/tasks/": "exec-added"
  std::string json;   // the event's fields

  // The value of a field, without quotes; empty when it isn't there. Enough for the flat events of
  // tasks.
  std::string field(const std::string& name) const;
};

// Collects the events of one containerd namespace.
class EventLog {
 public:
  // Returns once it receives events. Throws after a timeout.
  EventLog(const Ctr& ctr, std::string containerd_namespace);

  // The task events so far.
  std::vector<TaskEvent> events() const;

  // "topic id" for each, and the exec's id behind it, if it has one: "exit web sh-1". For comparing
  // whole histories.
  std::vector<std::string> history() const;

  // Waits until so many events with this topic have arrived.
  bool wait_for(const std::string& topic, size_t count = 1, Duration limit = kTestTimeout);

 private:
  Subprocess process_;
  std::string namespace_;
};

}  // namespace thinshim::test
