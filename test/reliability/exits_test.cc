// SPDX-License-Identifier: Apache-2.0
// Every started process has one exit, its own, in order, and all answers and events agree on it.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <unordered_map>

#include "reliability/fast_shim.h"
#include "reliability/scale.h"
#include "task_events.pb.h"

namespace thinshim::test {
namespace {

constexpr int kAtOnce = 64;

class Exits : public FastShimTest {
 protected:
  // One exec: how it must end, its last event, and what calls and events have reported of its exit.
  struct Record {
    enum Stage { none, added, started, exited } stage = none;
    std::uint32_t status = 0;
    pid_t pid = 0, started_pid = 0, exit_pid = 0;
    std::int64_t exited_at = 0, exit_exited_at = 0;
  };

  // The program of the `n`th exec, and its exit status.
  using Program = std::function<std::pair<Words, std::uint32_t>(int n)>;

  static std::pair<Words, std::uint32_t> dies_at_once(int n) {
    if (n % 16 == 0) return {{"signal", "9"}, 137};
    if (n % 16 == 8) return {{"signal", "15"}, 143};
    return {{"exit", std::to_string(n % 101)}, static_cast<std::uint32_t>(n % 101)};
  }

  // Runs `count` execs in container c1, kAtOnce at a time, and checks all reports of each.
  void run_execs(TaskCalls& shim, int count, const Program& program) {
    const auto begin = Clock::now();
    int next = 0;
    int running = 0;
    for (; running < kAtOnce; ++running) shim.calls.spawn(work(shim, count, next, program), "work");
    int behind = 0;
    while (deleted_ < count || exits_ < count) {
      shim.pass(1ms);
      take_events();
      behind = std::max(behind, deleted_ - exits_);
      if (HasFailure()) return;
      if (Clock::now() - last_progress_ > TaskCalls::kLimit) throw std::runtime_error("it hangs");
    }
    for (const auto& [id, record] : records_) {
      EXPECT_EQ(record.stage, Record::exited) << id;
      EXPECT_EQ(record.pid, record.started_pid) << id;
      EXPECT_EQ(record.pid, record.exit_pid) << id;
      EXPECT_EQ(record.exited_at, record.exit_exited_at) << id;
      if (HasFailure()) return;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    figure("execs, each with its one exit", count);
    figure("of them a second", static_cast<int>(count / seconds));
    figure("exits that Delete answered before the event, at most", behind);
    if (has_measurable_memory(only_shim().pid)) {  // not with sanitizers, which are slow
      EXPECT_LT(behind, 2000) << "events are ever later";
    }
  }

  // Ends the container and the shim; all events have arrived then.
  void end(TaskCalls& shim, int count) {
    shim.end_container("c1");
    end_shim(shim);
    take_events();
    EXPECT_EQ(exits_, count) << "one too many";
    EXPECT_EQ(inits_exits_, 1);
  }

  // One of the concurrent workers.
  Task<> work(TaskCalls& shim, int count, int& next, const Program& program) {
    while (next < count && !HasFailure()) {
      const int n = next++;
      const auto [args, status] = program(n);
      co_await run_one(shim, "e" + std::to_string(n), args, status);
    }
  }

  Task<> run_one(TaskCalls& shim, std::string id, Words args, std::uint32_t status) {
    records_[id].status = status;
    const ExecLife life = co_await run_exec(shim, exec_request("c1", id, args));
    EXPECT_EQ(life.status, status) << id;
    records_[id].pid = life.pid;
    records_[id].exited_at = life.exited_at;
    ++deleted_;
    last_progress_ = Clock::now();
  }

  // Checks the events that have arrived, and removes them.
  void take_events() {
    for (const auto& request : forwarded_) {
      const std::string& topic = request.envelope().topic();
      const std::string& bytes = request.envelope().event().value();
      if (topic == "/tasks/exec-added") {
        take<containerd::events::TaskExecAdded>(bytes, Record::none, Record::added);
      } else if (topic == "/tasks/exec-started") {
        const auto [event, record] =
            take<containerd::events::TaskExecStarted>(bytes, Record::added, Record::started);
        record->started_pid = static_cast<pid_t>(event.pid());
      } else if (topic == "/tasks/exit") {
        take_exit(bytes);
      }
    }
    forwarded_.clear();
  }

  void take_exit(const std::string& bytes) {
    containerd::events::TaskExit init;
    init.ParseFromString(bytes);
    if (init.id() == "c1") {
      ++inits_exits_;
      return;
    }
    EXPECT_EQ(inits_exits_, 0) << init.id() << " behind init";
    const auto [event, record] =
        take<containerd::events::TaskExit>(bytes, Record::started, Record::exited);
    EXPECT_EQ(event.exit_status(), record->status) << event.id();
    record->exit_pid = static_cast<pid_t>(event.pid());
    record->exit_exited_at = nanoseconds(event.exited_at());
    ++exits_;
  }

  static const std::string& exec_of(const containerd::events::TaskExit& event) {
    return event.id();
  }
  template <class Event>
  static const std::string& exec_of(const Event& event) {
    return event.exec_id();
  }

  template <class Event>
  std::pair<Event, Record*> take(const std::string& bytes, Record::Stage from, Record::Stage to) {
    Event event;
    EXPECT_TRUE(event.ParseFromString(bytes));
    EXPECT_EQ(event.container_id(), "c1");
    Record& record = records_[exec_of(event)];
    EXPECT_EQ(record.stage, from) << exec_of(event);
    record.stage = to;
    return {event, &record};
  }

  std::unordered_map<std::string, Record> records_;
  int deleted_ = 0;
  int exits_ = 0;
  int inits_exits_ = 0;
  Clock::time_point last_progress_ = Clock::now();
};

// Makes the kernel reuse a few pids, as a small /proc/sys/kernel/pid_max would, which applies to
// the whole machine before Linux 6.14.
class FewPids {
 public:
  FewPids()
      : file_(open_file("/proc/sys/kernel/ns_last_pid", O_RDWR)), thread_([this] { loop(); }) {}
  ~FewPids() {
    done_ = true;
    thread_.join();
  }
  int rounds() const { return rounds_; }

 private:
  static constexpr int kFirst = 1000;
  static constexpr int kCount = 300;
  void loop() {
    while (!done_) {
      char text[32] = {};
      if (::pread(file_.get(), text, sizeof text - 1, 0) <= 0) return;
      const int last = std::atoi(text);
      if (last < kFirst || last > kFirst + kCount) {
        const std::string first = std::to_string(kFirst);
        if (::pwrite(file_.get(), first.data(), first.size(), 0) < 0) return;
        ++rounds_;
      }
      ::usleep(200);
    }
  }
  Fd file_;
  std::atomic<bool> done_ = false;
  std::atomic<int> rounds_ = 0;
  std::thread thread_;
};

TEST_F(Exits, OfProcessesThatDieAtOnceArePublishedOnceEach) {
  auto shim = run_fast("c1");
  const int count = scaled(4000, 100000);
  run_execs(*shim, count, dies_at_once);
  end(*shim, count);
}

TEST_F(Exits, OfRealRuncsProcessesArePublishedOnceEach) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  const int count = scaled(100, 2000);
  run_execs(*shim, count, [](int n) {
    const std::pair<Words, std::uint32_t> fast = dies_at_once(n);
    const bool dies = fast.first[0] == "signal";
    return std::pair{Words{"/bin/sh", "-c", (dies ? "kill -$0 $$" : "exit $0"), fast.first[1]},
                     fast.second};
  });
  end(*shim, count);
}

TEST_F(Exits, AreCreditedToTheRightProcessIfPidsAreReusedAtOnce) {
  auto shim = run_fast("c1");
  const int count = scaled(3000, 100000);
  {
    FewPids pids;
    run_execs(*shim, count, dies_at_once);
    figure("times that all pids were given out anew", pids.rounds());
    EXPECT_GT(pids.rounds(), scaled(10, 100));
  }
  end(*shim, count);
}

}  // namespace
}  // namespace thinshim::test
