// SPDX-License-Identifier: Apache-2.0
// The time from the death of a process until its Wait is answered: for execs that have written
// nothing, and for execs that write a line just before they exit.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "bench/stream.h"
#include "bench/with_container.h"

namespace thinshim::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kReader = "reader";

std::string shell(const std::string& script) {
  return R"({"user":{"uid":0,"gid":0},"args":["/bin/sh","-c",")" + script +
         R"("],"env":["PATH=/bin"],"cwd":"/"})";
}

// A thread that notices the exit of a process immediately.
std::future<Clock::time_point> end_of(Fd process) {
  return std::async(std::launch::async, [process = std::move(process)] {
    pollfd watched{process.get(), POLLIN, 0};
    while (::poll(&watched, 1, -1) < 0 && errno == EINTR) {
    }
    return Clock::now();
  });
}

class Exits : public WithContainer {
 public:
  using WithContainer::WithContainer;

  void repeat(int) override {
    silent_.push_back(one(shell("read -r line")));
    line_.push_back(one(shell("read -r line; echo $line")));
  }
  void end() override {
    add("exit/silent", silent_);
    add("exit/line", line_);
    WithContainer::end();
  }

 private:
  void add(const std::string& row, std::vector<double>& times) {
    std::sort(times.begin(), times.end());
    for (double time : times) samples_.add(row, time);
    samples_.add(row + "-90", times[times.size() * 9 / 10]);
  }

  // Milliseconds from the process's death until Wait is answered.
  double one(const std::string& process) {
    const std::string in = place_.bundle(kId) / "exec-in";
    check(::mkfifo(in.c_str(), 0600), "make a fifo");
    const Fd input = open_file(in, O_RDWR | O_NONBLOCK);
    StreamReader reader(place_.bundle(kId) / "exec-out");
    auto request = request_for<api::ExecProcessRequest>(kId, kReader);
    request.set_stdin(in);
    request.set_stdout(reader.stdio().out);
    request.set_stderr(reader.stdio().error);
    request.mutable_spec()->set_value(process);
    shim_->call<Empty>("Exec", request);
    const pid_t pid = shim_->start_process(kId, kReader);
    Waiter waiter = shim_->wait(kId, kReader);
    shim_->state(kId);  // the shim has read the Wait when it answers this
    std::future<Clock::time_point> death = end_of(open_process(pid));
    check(static_cast<int>(::write(input.get(), "line\n", 5)), "write to an exec");
    waiter.finish();
    const auto told = Clock::now();
    shim_->remove(kId, kReader);
    reader.finish();
    ::unlink(in.c_str());
    return std::chrono::duration<double, std::milli>(told - death.get()).count();
  }

  std::vector<double> silent_;
  std::vector<double> line_;
};

}  // namespace

std::unique_ptr<Scene> make_exits(Place& place, Samples& samples) {
  return std::make_unique<Exits>(place, samples);
}

}  // namespace thinshim::bench
