// SPDX-License-Identifier: Apache-2.0
// Where a container's events go. The topics are containerd's (core/runtime/events.go).
#pragma once

#include <google/protobuf/message_lite.h>

#include "async/task.h"

namespace thinshim {

inline constexpr const char* kTopicCreate = "/tasks/create";
inline constexpr const char* kTopicStart = "/tasks/start";
inline constexpr const char* kTopicOom = "/tasks/oom";
inline constexpr const char* kTopicExit = "/tasks/exit";
inline constexpr const char* kTopicDelete = "/tasks/delete";
inline constexpr const char* kTopicExecAdded = "/tasks/exec-added";
inline constexpr const char* kTopicExecStarted = "/tasks/exec-started";
inline constexpr const char* kTopicPaused = "/tasks/paused";
inline constexpr const char* kTopicResumed = "/tasks/resumed";
inline constexpr const char* kTopicCheckpointed = "/tasks/checkpointed";

// Publishes events in the order of the calls.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // Never waits, never fails.
  virtual void publish(const char* topic, const google::protobuf::MessageLite& event) = 0;
  // To be awaited before something that has events begins: waits for a moment where many events
  // have not been sent yet.
  virtual Task<> throttle() { co_return; }
};

}  // namespace thinshim
