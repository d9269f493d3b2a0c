// SPDX-License-Identifier: Apache-2.0
// Adds the published events to a trace.
#pragma once

#include <functional>
#include <utility>

#include "orders/scripted_runtime.h"
#include "orders/trace.h"
#include "task/events.h"
#include "task_events.pb.h"

namespace thinshim::orders {

class TraceSink final : public EventSink {
 public:
  explicit TraceSink(ScriptedRuntime::Write write) : write_(std::move(write)) {}

  void publish(const char* topic, const google::protobuf::MessageLite& event) override {
    Entry entry{.kind = Kind::event};
    entry.verb = std::string(topic).substr(std::string(topic).rfind('/') + 1);
    take<containerd::events::TaskCreate>(event, entry);
    take<containerd::events::TaskStart>(event, entry);
    take<containerd::events::TaskExecAdded>(event, entry);
    take<containerd::events::TaskExecStarted>(event, entry);
    take<containerd::events::TaskExit>(event, entry);
    take<containerd::events::TaskDelete>(event, entry);
    write_(std::move(entry));
  }

 private:
  template <class Event>
  void take(const google::protobuf::MessageLite& message, Entry& entry) {
    const auto* event = dynamic_cast<const Event*>(&message);
    if (!event) return;
    if constexpr (requires { event->pid(); }) entry.pid = static_cast<pid_t>(event->pid());
    if constexpr (requires { event->exec_id(); }) entry.role = role_of(event->exec_id());
    if constexpr (requires { event->id(); }) entry.role = role_of(event->id());
    if constexpr (requires { event->exited_at(); }) {
      const auto& at = event->exited_at();
      if (at.seconds() > 0)
        entry.exit = ExitInfo{static_cast<int>(event->exit_status()),
                              at.seconds() * 1'000'000'000 + at.nanos()};
    }
  }
  static Role role_of(const std::string& id) {
    for (Role role : kExecs)
      if (id == exec_id_of(role)) return role;
    return Role::init;
  }

  ScriptedRuntime::Write write_;
};

}  // namespace thinshim::orders
