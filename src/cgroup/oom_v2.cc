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

// The kills in one memory.events, closed when its cgroup was removed.
class Counter {
 public:
  Counter() = default;
  explicit Counter(Fd events) : events_(std::move(events)) {}
  int descriptor() const { return events_.get(); }

  // Reading the file makes poll(2) wait for the next change. Nothing after the cgroup was removed:
  // poll(2) would not wait on such a file, so it is closed.
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
      : poll_(check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    if (group.directory().empty()) throw Error::not_found("cgroup");
    own_ = Counter(open_file(join_path(group.directory(), "memory.events"), O_RDONLY));
    epoll_event wanted{};
    wanted.events = EPOLLPRI;
    check(::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, own_.descriptor(), &wanted),
          "watch memory.events");
    // The root cgroup has no memory.events.
    above_ = Counter(
        try_open(join_path(non_scope_ancestor(group.directory()), "memory.events"), O_RDONLY));
    poll();
  }

  int descriptor() const override { return poll_.get(); }

  bool poll() override {
    // Read before our own: else a kill between the two reads would be counted as an old one.
    std::optional<std::uint64_t> kills_above = above_.read();
    const std::optional<std::uint64_t> kills = own_.read();
    if (!kills) return false;
    const bool is_new = *kills > std::exchange(kills_, *kills);
    if (is_new) kills_above = above_.read();
    kills_above_ =
        kills_above.value_or(0);  // at each poll, so that older kills of others do not count
    return is_new;
  }

  bool poll_last() override {
    if (poll()) return true;
    if (own_.descriptor() >= 0) return false;
    const std::uint64_t kills_above = above_.read().value_or(0);
    return kills_above > std::exchange(kills_above_, kills_above);
  }

 private:
  Fd poll_;
  Counter own_, above_;
  std::uint64_t kills_ = 0, kills_above_ = 0;  // at the last poll
};

}  // namespace

std::unique_ptr<OomWatch::Source> open_oom_v2(const Cgroup& group) {
  return std::make_unique<OomV2>(group);
}

std::string non_scope_ancestor(const std::string& directory) {
  std::string above = directory_of(directory);
  while (above.ends_with(".scope")) above = directory_of(above);
  return above;
}

}  // namespace thinshim
