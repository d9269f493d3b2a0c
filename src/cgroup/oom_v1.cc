// SPDX-License-Identifier: Apache-2.0
#include "cgroup/oom_v1.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace thinshim {
namespace {

constexpr char kControl[] = "memory.oom_control";

// A number of memory.oom_control; nothing where the kernel does not have it.
std::optional<std::uint64_t> control(const std::string& text, std::string_view wanted) {
  std::optional<std::uint64_t> result;
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == wanted) result = value;
  });
  return result;
}

class OomV1 final : public OomWatch::Source {
 public:
  explicit OomV1(const Cgroup& group)
      : directory_(group.directory("memory")),
        event_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    if (directory_.empty()) throw Error::not_found("memory cgroup");
    Fd watched = open_file(join_path(directory_, kControl), O_RDONLY);
    Fd registry = open_file(join_path(directory_, "cgroup.event_control"), O_WRONLY);
    std::string line = std::to_string(event_.get()) + " " + std::to_string(watched.get());
    check(::write(registry.get(), line.data(), line.size()), "write cgroup.event_control");
    kills_ = count(read_control(directory_).value_or(""));
  }

  int descriptor() const override { return event_.get(); }
  bool is_kill_pending() const override { return notifications_ > 0; }

  bool poll() override {
    notifications_ += take_signals();
    std::optional<std::string> text = read_control(directory_);
    bool killed;
    if (!text) {
      killed = notifications_ > 1;  // one is for the removal
    } else if (!control(*text, "oom_kill")) {
      killed = notifications_ > 0;
    } else {
      std::uint64_t before = std::exchange(kills_, count(*text));
      killed = kills_ > before;
    }
    if (killed) notifications_ = 0;
    return killed;
  }

  bool waits_for_memory() override {
    std::optional<std::string> text = read_control(directory_);
    if (!text) return false;  // the notification of the removal may be late; poll() counts it
    notifications_ = 0;
    return control(*text, "under_oom").value_or(0) != 0;
  }

 private:
  std::uint64_t take_signals() {
    std::uint64_t signals = 0;
    return ::read(event_.get(), &signals, sizeof signals) == sizeof signals ? signals : 0;
  }

  // Nothing where the cgroup was removed.
  static std::optional<std::string> read_control(const std::string& directory) {
    try {
      return read_file(join_path(directory, kControl));
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // The kills in the cgroup, whose memory.oom_control is `own`, and in its descendants, which the
  // container may have made.
  std::uint64_t count(const std::string& own) const {
    std::uint64_t sum = control(own, "oom_kill").value_or(0);
    for (const std::string& directory : group_tree(directory_))
      if (directory != directory_)
        sum += control(read_control(directory).value_or(""), "oom_kill").value_or(0);
    return sum;
  }

  std::string directory_;
  Fd event_;
  std::uint64_t kills_ = 0;
  std::uint64_t notifications_ = 0;  // since the last kill
};

}  // namespace

std::unique_ptr<OomWatch::Source> open_oom_v1(const Cgroup& group) {
  return std::make_unique<OomV1>(group);
}

}  // namespace thinshim
