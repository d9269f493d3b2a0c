// SPDX-License-Identifier: Apache-2.0
// One shim under every kind of load, for $THINSHIM_SOAK_MINUTES: execs as fast as possible, with
// output; random kills; Stats; short-lived containers; a containerd that restarts. Nothing may
// fail, and nothing may grow. scripts/soak plots the figures.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <unordered_set>

#include "base/file.h"
#include "bench/costs.h"
#include "reliability/fast_shim.h"
#include "reliability/plot.h"
#include "reliability/scale.h"
#include "task_events.pb.h"

namespace thinshim::test {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr int kWorkers = 16;
constexpr long kMostPending = 300;     // execs
constexpr std::size_t kOutput = 1000;  // bytes of an exec

class Soak : public FastShimTest {
 protected:
  static Duration time_to_soak() {
    const char* minutes = std::getenv("THINSHIM_SOAK_MINUTES");
    return minutes == nullptr ? Duration(5s)
                              : Duration(static_cast<long>(std::atof(minutes) * 60'000));
  }

  // The exit status of an exec that writes to the fifo, or gets a signal.
  Task<std::uint32_t> run_one(std::string container, Words args, int signal) {
    const std::string id = "e" + std::to_string(++made_);
    api::ExecProcessRequest request = exec_request(container, id, args);
    if (signal == 0) request.set_stdout(out_);
    const ExecLife life = co_await run_exec(*shim_, request, signal, Duration(random_() % 30));
    ++execs_;
    co_return life.status;
  }

  // --- workers
  template <class Step>
  Task<> again_and_again(Step step) {
    try {
      while (!ending_) {
        // Not faster than containerd takes the events, one after the other: else the queue of
        // events would be all that grows.
        while (execs_ - exits_ > kMostPending && !ending_) co_await sleep(loop_, 10ms);
        co_await step();
      }
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
      ending_ = true;
    }
    --working_;
  }
  template <class Step>
  void work(Step step) {
    ++working_;
    shim_->calls.spawn(again_and_again(step), "work");
  }

  Task<> write_something() {
    Task<std::uint32_t> running = run_one("c1", {"write", "1"}, 0);
    const std::uint32_t status = co_await std::move(running);
    if (status != 0) throw std::runtime_error("write: status " + std::to_string(status));
    expected_bytes_ += kOutput;
  }
  Task<> be_killed() {
    const int signal = random_() % 2 == 0 ? SIGKILL : SIGTERM;
    Task<std::uint32_t> running = run_one("c1", {"sleep"}, signal);
    const std::uint32_t status = co_await std::move(running);
    if (status != 128u + static_cast<unsigned>(signal))
      throw std::runtime_error("kill: status " + std::to_string(status));
  }
  Task<> run_by_real_runc() {
    Task<std::uint32_t> running = run_one("real", {"/bin/sh", "-c", "exit 5"}, 0);
    const std::uint32_t status = co_await std::move(running);
    if (status != 5) throw std::runtime_error("runc: status " + std::to_string(status));
  }
  Task<> ask_for_stats() {
    api::StatsRequest request;
    request.set_id("real");
    const api::StatsResponse stats = co_await shim_->ask<api::StatsResponse>("Stats", request);
    if (stats.stats().value().empty()) throw std::runtime_error("no stats");
    ++stats_;
    co_await sleep(loop_, 100ms);
  }
  // Of a container with a terminal, whose output is not read.
  Task<> live() {
    api::CreateTaskRequest creating = fast_request("c2");
    creating.set_terminal(true);
    co_await shim_->ask<api::CreateTaskResponse>("Create", creating);
    api::StartRequest starting;
    starting.set_id("c2");
    co_await shim_->ask<api::StartResponse>("Start", starting);
    CallPtr<api::WaitResponse> waiting = shim_->wait_begin("c2");
    co_await sleep(loop_, Duration(random_() % 500));
    api::KillRequest killing;
    killing.set_id("c2");
    killing.set_signal(SIGKILL);
    co_await shim_->ask<Empty>("Kill", killing);
    co_await waiting->done.wait();
    api::DeleteRequest removing;
    removing.set_id("c2");
    const api::DeleteResponse removed =
        co_await shim_->ask<api::DeleteResponse>("Delete", removing);
    if (removed.exit_status() != 137) throw std::runtime_error("a container was not killed");
    ++lives_;
  }
  static Task<> read_output(Loop& loop, int fd, std::size_t& bytes) {
    Watch watch(loop, fd);
    char chunk[65536];
    for (;;) {
      const ssize_t n = ::read(fd, chunk, sizeof chunk);
      if (n > 0)
        bytes += static_cast<std::size_t>(n);
      else
        co_await watch.readable();
    }
  }

  // Each exec that was started has one exit.
  void take_events() {
    for (const auto& request : forwarded_) {
      const std::string& topic = request.envelope().topic();
      if (topic == "/tasks/exec-started") {
        containerd::events::TaskExecStarted event;
        event.ParseFromString(request.envelope().event().value());
        EXPECT_TRUE(started_.insert(event.exec_id()).second) << event.exec_id();
      } else if (topic == "/tasks/exit") {
        containerd::events::TaskExit event;
        event.ParseFromString(request.envelope().event().value());
        if (event.id() == event.container_id()) continue;
        EXPECT_EQ(started_.erase(event.id()), 1u) << event.id();
        ++exits_;
      }
    }
    forwarded_.clear();
  }

  // One point of each curve of the shim.
  void take_sample(pid_t pid) {
    const auto asked = Clock::now();
    EXPECT_EQ(shim_->state("c1").status(), types::RUNNING);
    const double latency = Milliseconds(Clock::now() - asked).count();
    memory_.values.push_back(bench::memory_of(pid).private_dirty);
    files_.values.push_back(static_cast<double>(open_files(pid).size()));
    latency_.values.push_back(latency);
    speed_.values.push_back(static_cast<double>(execs_ - execs_before_));
    execs_before_ = execs_;
  }
  static double mean(const std::vector<double>& values, std::size_t from, std::size_t to) {
    double sum = 0;
    for (std::size_t i = from; i < to; ++i) sum += values[i];
    return sum / static_cast<double>(to - from);
  }

  std::unique_ptr<TaskCalls> shim_;
  std::string out_;
  std::mt19937 random_;
  bool ending_ = false;
  int working_ = 0;
  long made_ = 0, execs_ = 0, execs_before_ = 0, exits_ = 0, stats_ = 0, lives_ = 0;
  std::size_t bytes_ = 0, expected_bytes_ = 0;
  std::unordered_set<std::string> started_;
  Curve memory_{"private memory, kB", {}}, files_{"open files", {}};
  Curve latency_{"State answered in, ms", {}}, speed_{"execs a second", {}};
};

TEST_F(Soak, NothingFailsAndNothingGrows) {
  shim_ = run_fast("c1");
  ContainerConfig longer_than_any_soak;
  longer_than_any_soak.args = {"/bin/sleep", "1000000"};
  make_bundle("real", longer_than_any_soak);
  run(*shim_, "real");
  ContainerConfig with_terminal;
  with_terminal.args = {"sleep"};
  with_terminal.terminal = true;
  make_bundle("c2", with_terminal);
  out_ = make_fifo("out");
  const Fd reader = open_file(out_, O_RDWR | O_NONBLOCK);
  TaskSet reading;
  reading.spawn(read_output(loop_, reader.get(), bytes_), "read");
  const pid_t pid = only_shim().pid;
  shim_->end(shim_->stats_begin("real"));  // its files stay open
  const std::vector<std::string> files = open_files_at_rest(pid);

  for (int n = 0; n < kWorkers; ++n) work([this] { return write_something(); });
  for (int n = 0; n < kWorkers / 4; ++n) work([this] { return be_killed(); });
  work([this] { return run_by_real_runc(); });
  work([this] { return ask_for_stats(); });
  work([this] { return live(); });
  const auto end = Clock::now() + time_to_soak();
  int restarts = 0;
  for (auto next = Clock::now() + 1s; Clock::now() < end && !HasFailure(); next += 1s) {
    while (time_left(next) > 0ms) {
      shim_->pass(std::min(Duration(20), time_left(next)));
      take_events();
    }
    take_sample(pid);
    if (memory_.values.size() % 5 == 4) stop_events();
    if (memory_.values.size() % 5 == 0) serve_events(), ++restarts;
  }
  if (memory_.values.size() % 5 == 4) serve_events();
  ending_ = true;
  shim_->until([&] { return working_ == 0; });
  shim_->until([&] {
    take_events();
    return exits_ == execs_ && bytes_ == expected_bytes_;
  });
  EXPECT_TRUE(started_.empty());
  EXPECT_EQ(bytes_, expected_bytes_);
  EXPECT_TRUE(eventually([&] { return open_files(pid).size() <= files.size(); }))
      << ::testing::PrintToString(open_files(pid));

  if (const char* svg = std::getenv("THINSHIM_SOAK_SVG"))
    write_file(svg, plot("One shim, everything at once", {memory_, files_, latency_, speed_}),
               0644);
  const std::size_t count = memory_.values.size();
  ASSERT_GT(count, 2u);
  // The first tenth is a warm-up. In each half the values vary with the work in progress.
  const auto halves = [&](const std::vector<double>& values) {
    return std::pair(mean(values, count / 10, count / 2), mean(values, count / 2, count));
  };
  const auto [early, late] = halves(memory_.values);
  const auto [early_files, late_files] = halves(files_.values);
  figure("minutes", static_cast<double>(count) / 60);
  figure("execs, each with its one exit", static_cast<double>(execs_));
  figure("bytes of their output, all of them read", static_cast<double>(bytes_));
  figure("containers with a terminal", static_cast<double>(lives_));
  figure("Stats", static_cast<double>(stats_));
  figure("restarts of containerd", restarts);
  figure("private memory in the first half, kB, mean", early);
  figure("in the second half", late);
  figure("open files in the first half, mean", early_files);
  figure("open files in the second half", late_files);
  figure("slowest State, ms", *std::max_element(latency_.values.begin(), latency_.values.end()));
  // AddressSanitizer keeps freed memory for a while.
  if (count > (has_measurable_memory(pid) ? 60 : 600)) {
    EXPECT_LT(late, early * 1.1 + 64) << "it grows";
    EXPECT_LT(late_files, early_files * 1.1 + 8) << "they are left open";
  }

  reading.cancel();
  shim_->end_container("c1");
  shim_->end_container("real");
  end_shim(*shim_);
}

}  // namespace
}  // namespace thinshim::test
