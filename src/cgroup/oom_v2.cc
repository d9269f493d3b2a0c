// SPDX-License-Identifier: Apache-2.0
#include "cgroup/oom_v2.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

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
  explicit Counter(Fd events) : events_(std::move(events)) {}
  int descriptor() const { return events_.get(); }

  // The kills so far. Reading it makes poll wait for the next change. Nothing once the group is
  // gone: there is nothing to read then, and poll would not wait, so it is closed.
  std::optional<std::uint64_t> read() {
    if (!events_) return std::nullopt;
    char text[512];
    ssize_t n;
    do n = ::pread(events_.get(), text, sizeof text, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
      events_.reset();
      return std::nullopt;
    }
    std::uint64_t kills = 0;
    each_value(std::string_view(text, static_cast<std::size_t>(n)),
               [&](std::string_view name, std::uint64_t value) {
                 if (name == "oom_kill") kills = value;
               });
    return kills;
  }

 private:
  Fd events_;
};

class OomV2 final : public OomWatch::Source {
 public:
  explicit OomV2(const Cgroup& group)
      : poll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create")) {
    if (group.directory().empty()) throw Error::not_found("group");
    own_ = Counter(open_file(join_path(group.directory(), "memory.events"), O_RDONLY));
    epoll_event wanted{};
    wanted.events = EPOLLPRI;
    check(::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, own_.descriptor(), &wanted),
          "watch memory.events");
    // The root has none.
    above_ = Counter(
        try_open(join_path(lasting_group_above(group.directory()), "memory.events"), O_RDONLY));
    look();
  }

  int descriptor() const override { return poll_.get(); }

  bool look() override {
    // Before our own: a kill that comes in between must not be taken for an old one.
    std::optional<std::uint64_t> kills_above = above_.read();
    const std::optional<std::uint64_t> kills = own_.read();
    if (!kills) return false;
    const bool is_new = *kills > std::exchange(kills_, *kills);
    if (is_new) kills_above = above_.read();
    kills_above_ = kills_above.value_or(0);  // at each look: what others do is soon old
    return is_new;
  }

  bool look_last() override {
    if (look()) return true;
    if (own_.descriptor() >= 0) return false;
    const std::uint64_t kills_above = above_.read().value_or(0);
    return kills_above > std::exchange(kills_above_, kills_above);
  }

 private:
  Fd poll_;
  Counter own_, above_;
  std::uint64_t kills_ = 0, kills_above_ = 0;  // when it was looked last
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
