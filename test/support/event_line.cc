// SPDX-License-Identifier: Apache-2.0
#include "support/event_line.h"

#include <gtest/gtest.h>

#include "task/events.h"
#include "task_events.pb.h"

namespace thinshim::test {
namespace {

namespace events = containerd::events;

template <class Message, class Rest>
std::string line(const std::string& topic, const std::string& bytes, Rest rest) {
  Message event;
  EXPECT_TRUE(event.ParseFromString(bytes)) << topic;
  return topic.substr(topic.rfind('/') + 1) + " " + event.container_id() + rest(event);
}

template <class Message>
std::string with_exec(const Message& event) {
  return " " + event.exec_id();
}

}  // namespace

std::string event_line(const std::string& topic, const std::string& message) {
  const auto nothing = [](const auto&) { return std::string(); };
  const auto status = [](const auto& event) { return " " + std::to_string(event.exit_status()); };
  if (topic == kTopicCreate) return line<events::TaskCreate>(topic, message, nothing);
  if (topic == kTopicStart) return line<events::TaskStart>(topic, message, nothing);
  if (topic == kTopicPaused) return line<events::TaskPaused>(topic, message, nothing);
  if (topic == kTopicResumed) return line<events::TaskResumed>(topic, message, nothing);
  if (topic == kTopicOom) return line<events::TaskOOM>(topic, message, nothing);
  if (topic == kTopicCheckpointed) return line<events::TaskCheckpointed>(topic, message, nothing);
  if (topic == kTopicDelete) return line<events::TaskDelete>(topic, message, status);
  if (topic == kTopicExecAdded)
    return line<events::TaskExecAdded>(topic, message, with_exec<events::TaskExecAdded>);
  if (topic == kTopicExecStarted)
    return line<events::TaskExecStarted>(topic, message, with_exec<events::TaskExecStarted>);
  if (topic == kTopicExit)
    return line<events::TaskExit>(topic, message, [&](const events::TaskExit& event) {
      return (event.id() == event.container_id() ? "" : " " + event.id()) + status(event);
    });
  return topic;
}

}  // namespace thinshim::test
