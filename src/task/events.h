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

// Takes events at once, never waits, never fails, and hands them on in the order in which they
// came.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void publish(const char* topic, const google::protobuf::MessageLite& event) = 0;
  // Before something is begun that has events: waits for a moment where many are on their way
  // already.
  virtual Task<> keep_pace() { co_return; }
};

}  // namespace thinshim
