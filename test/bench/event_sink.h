// SPDX-License-Identifier: Apache-2.0
// containerd's place as far as events go: a process of its own that takes what shims publish and
// counts it, so that taking it costs neither the shim nor the client that is measuring.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace thinshim::bench {

class EventSink {
 public:
  // Listens on the socket `path` once this returns. To be made before the process has a Loop.
  explicit EventSink(const std::string& path);
  ~EventSink();
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& path() const { return path_; }
  std::uint64_t count() const { return *count_; }
  // Waits until that many have come in all; throws Error where they don't.
  void expect(std::uint64_t count) const;

 private:
  std::string path_;
  std::atomic<std::uint64_t>* count_;  // shared with the process
  pid_t pid_;
};

}  // namespace thinshim::bench
