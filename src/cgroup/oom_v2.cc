// SPDX-License-Identifier: Apache-2.0
#include "cgroup/oom_v2.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace thinshim {
namespace {

// One memory.events, open for as long as there is something in it to read.
class Counter {
 public:
  Counter() = default;
  // Reports changes to `poll`.
  Counter(Fd events, int poll) : events_(std::move(events)) {
    epoll_event wanted{};
    wanted.events = EPOLLPRI;
    check(::epoll_ctl(poll, EPOLL_CTL_ADD, events_.get(), &wanted), "watch memory.events");
    grown();
  }
  explicit operator bool() const { return static_cast<bool>(events_); }

  // Whether there were kills since the last time. Reading it makes poll wait for the next change.
  // Once the group is gone there is nothing to read, and poll would not wait: it is closed then.
  bool grown() {
    if (!events_) return false;
    char text[512];
    ssize_t n;
    do n = ::pread(events_.get(), text, sizeof text, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
      events_.reset();
      return false;
    }
    std::uint64_t before = kills_;
    each_value(std::string_view(text, static_cast<std::size_t>(n)),
               [this](std::string_view name, std::uint64_t value) {
                 if (name == "oom_kill") kills_ = value;
               });
    return kills_ > before;
  }

 private:
  Fd events_;
  std::uint64_t kills_ = 0;
};

class OomV2 final : public OomWatch::Source {
 public:
  explicit OomV2(const Cgroup& group)
      : poll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create")) {
    if (group.directory().empty()) throw Error::not_found("group");
    own_ = Counter(open_file(join_path(group.directory(), "memory.events"), O_RDONLY), poll_.get());
    // The root has none.
    std::string above = join_path(lasting_group_above(group.directory()), "memory.events");
    if (Fd events = try_open(above, O_RDONLY)) above_ = Counter(std::move(events), poll_.get());
  }

  int descriptor() const override { return poll_.get(); }

  bool look() override {
    if (!own_) return false;
    bool killed = own_.grown();
    bool killed_above = above_.grown();  // asked each time, so that the past of others is past
    if (own_) return killed;
    above_ = Counter();
    return killed_above;
  }

 private:
  Fd poll_;
  Counter own_, above_;
};

}  // namespace

std::unique_ptr<OomWatch::Source> open_oom_v2(const Cgroup& group) {
  return std::make_unique<OomV2>(group);
}

std::string lasting_group_above(const std::string& directory) {
  std::string above = directory_of(directory);
  while (above.ends_with(".scope")) above = directory_of(above);
  return above;
}

}  // namespace thinshim
