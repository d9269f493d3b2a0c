// SPDX-License-Identifier: Apache-2.0
// Receives and counts events in containerd's place, in a process of its own, so that receiving them
// costs neither the shim nor the measuring client.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace thinshim::bench {

class EventSink {
 public:
  // Listens on the socket `path` when this returns. Must be created before the process has a Loop.
  explicit EventSink(const std::string& path);
  ~EventSink();
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& path() const { return path_; }
  std::uint64_t count() const { return *count_; }
  // Waits until that many events have come in all; throws Error after a timeout.
  void expect(std::uint64_t count) const;

 private:
  std::string path_;
  std::atomic<std::uint64_t>* count_;  // shared with the process
  pid_t pid_;
};

}  // namespace thinshim::bench
