// SPDX-License-Identifier: Apache-2.0
// Whatever happens to containerd: every event reaches it, in order, once, and delays no call.
#include <signal.h>

#include <fstream>
#include <set>

#include "bench/costs.h"
#include "reliability/answers.h"
#include "reliability/fast_shim.h"
#include "reliability/scale.h"

namespace thinshim::test {
namespace {

class Events : public FastShimTest {
 protected:
  // How containerd receives events.
  enum class Mode { take, hang, refuse, delay };

  Task<> before_event() override {
    switch (mode_) {
      case Mode::take:
        break;
      case Mode::hang:
        co_await changed_.wait();
        throw Error::unknown("a containerd that has just been restarted");
      case Mode::refuse:
        throw Error::unknown("not now");
      case Mode::delay:
        co_await sleep(loop_, 20ms);
        break;
    }
  }
  void set_mode(Mode mode) {
    mode_ = mode;
    changed_.set();
    changed_.clear();
  }

  // Runs containers one after the other, with two execs each, until the time is over: five a
  // second, as on a busy node. Calls `meanwhile` between them.
  void live(TaskCalls& shim, Duration time, const std::function<void()>& meanwhile = [] {}) {
    const auto end = Clock::now() + time;
    do {
      const auto next = Clock::now() + 200ms;
      live_once(shim, "c" + std::to_string(++lives_));
      meanwhile();
      shim.pass(std::max(Duration(1), time_left(next)));
    } while (Clock::now() < end);
  }

  void live_once(TaskCalls& shim, const std::string& id) {
    ContainerConfig config;
    config.args = {"sleep"};
    make_bundle(id, config);
    answers_.time("Create", [&] { shim.end(shim.create_begin(fast_request(id))); });
    answers_.time("Start", [&] { shim.start(id); });
    expect(Lines{"create " + id, "start " + id});
    for (const char* exec_id : {"e1", "e2"}) {
      answers_.time("Exec", [&] { exec(shim, id, exec_id, {"exit", "7"}); });
      answers_.time("Start of an exec", [&] { shim.start(id, exec_id); });
      answers_.time("Wait of an exec", [&] { EXPECT_EQ(shim.wait(id, exec_id), 7u); });
      answers_.time("Delete of an exec", [&] { shim.remove(id, exec_id); });
      const std::string both = " " + id + " " + exec_id;
      expect(Lines{"exec-added" + both, "exec-started" + both, "exit" + both + " 7"});
    }
    answers_.time("State", [&] { shim.state(id); });
    answers_.time("Kill", [&] { shim.kill(id, SIGKILL); });
    answers_.time("Wait", [&] { EXPECT_EQ(shim.wait(id), 137u); });
    answers_.time("Delete", [&] { shim.remove(id); });
    expect(Lines{"exit " + id + " 137", "delete " + id + " 137"});
  }

  void expect(const Lines& lines) { expected_.insert(expected_.end(), lines.begin(), lines.end()); }

  // Checks that all events were received. `what` names what the shim has survived.
  void expect_all_events(TaskCalls& shim, const std::string& what) {
    shim.until([&] { return forwarded_.size() >= expected_.size(); });
    shim.pass(50ms);  // a duplicate would arrive meanwhile
    EXPECT_EQ(history(), expected_);
    figure(what + ": events, each once and in order", static_cast<double>(expected_.size()));
    answers_.report(what);
    end_shim(shim);
  }

  // The size of the queue; 0 is the default.
  std::unique_ptr<TaskCalls> start_one(int max_queued = 0) {
    ContainerConfig config;
    config.args = {"sleep"};
    make_bundle("c1", config);
    SubprocessOptions options = surroundings("c1");
    if (max_queued != 0) {
      const std::string path = directory_ / "config.yaml";
      std::ofstream(path) << "version: 1\nplugins: {io.containerd.event.v1.publisher: {max_queued: "
                          << max_queued << "}}\n";
      options.environment.push_back("THINSHIM_CONFIG=" + path);
    }
    const Outcome started = test::run(command("c1", {"start"}), options);
    if (!started.ok()) throw std::runtime_error("start failed: " + started.out + started.err);
    return connect(started.out);
  }

  // No limit of its own, as long as events arrive.
  void await_growth(TaskCalls& shim, int wanted, const std::function<int()>& count) {
    auto last_growth = Clock::now();
    for (int before = 0, now = 0; now < wanted; before = now) {
      shim.pass(20ms);
      now = count();
      if (now > before) last_growth = Clock::now();
      if (Clock::now() - last_growth > TaskCalls::kLimit) throw std::runtime_error("it hangs");
    }
  }

  // Runs `count` execs in container c1, many at a time.
  void run_execs(TaskCalls& shim, int count) {
    int begun = 0, ended = 0;
    for (int n = 0; n < 64; ++n)
      shim.calls.spawn(run_some_execs(shim, count, begun, ended), "work");
    await_growth(shim, count, [&] { return ended; });
  }
  Task<> run_some_execs(TaskCalls& shim, int count, int& begun, int& ended) {
    while (begun < count) {
      api::ExecProcessRequest request =
          exec_request("c1", "e" + std::to_string(++begun), {"exit", "7"});
      co_await run_exec(shim, std::move(request));
      ++ended;
    }
  }

  Mode mode_ = Mode::take;
  Event changed_;
  int lives_ = 0;
  Lines expected_;
  Answers answers_;
};

TEST_F(Events, SurviveAContainerdThatIsAway) {
  auto shim = start_one();
  live(*shim, 300ms);
  stop_events();
  live(*shim, std::chrono::seconds(scaled(3, 600)));
  serve_events();
  live(*shim, 300ms);
  expect_all_events(*shim, "containerd is away");
}

TEST_F(Events, SurviveAContainerdThatRestartsAllTheTime) {
  auto shim = start_one();
  bool away = false;
  live(*shim, std::chrono::seconds(scaled(4, 60)), [&] {
    away ? serve_events() : stop_events();
    away = !away;
  });
  if (away) serve_events();
  expect_all_events(*shim, "containerd is restarted every 0.4 s");
}

TEST_F(Events, SurviveAContainerdThatNeverAnswers) {
  auto shim = start_one();
  set_mode(Mode::hang);
  live(*shim, std::chrono::seconds(scaled(6, 60)));
  set_mode(Mode::take);
  expect_all_events(*shim, "containerd never answers");
}

TEST_F(Events, SurviveAContainerdThatRefusesThem) {
  auto shim = start_one();
  set_mode(Mode::refuse);
  live(*shim, std::chrono::seconds(scaled(2, 60)));
  set_mode(Mode::take);
  expect_all_events(*shim, "containerd refuses them");
}

TEST_F(Events, SurviveAContainerdThatIsSlow) {
  auto shim = start_one();
  set_mode(Mode::delay);
  live(*shim, std::chrono::seconds(scaled(2, 30)));
  expect_all_events(*shim, "containerd takes 20 ms for each");
}

TEST_F(Events, BeyondTheQueuesLimitAreDroppedInTheDocumentedOrder) {
  auto shim = start_one(100);
  live_once(*shim, "c1");
  shim->until([&] { return forwarded_.size() >= expected_.size(); });
  stop_events();
  forwarded_.clear();
  const pid_t pid = only_shim().pid;
  double full = 0;
  for (int n = 0; n < scaled(100, 3000); ++n) {
    live_once(*shim, "c1");
    if (n == 60) full = bench::memory_of(pid).private_dirty;
  }
  const double more = bench::memory_of(pid).private_dirty - full;
  figure("private memory more after many more events than the queue holds, kB", more);
  if (has_measurable_memory(pid)) {
    EXPECT_LT(more, 100);
  }
  serve_events();
  shim->until([&] { return forwarded_.size() >= 100; });
  shim->pass(50ms);
  // The event that was being sent, and of the others the latest exits of containers.
  const Lines events = history();
  ASSERT_EQ(events.size(), 100u);
  EXPECT_EQ(events[0], "create c1");
  for (std::size_t i = 1; i < events.size(); ++i)
    EXPECT_EQ(events[i], i % 2 == 0 ? "exit c1 137" : "delete c1 137") << i;
  EXPECT_NE(log_of("c1").find("event queue full: dropping events"), std::string::npos);
  end_shim(*shim);
}

// With the default size of the queue.
TEST_F(Events, InAFullQueueCostABoundedAmount) {
  const int usual = 65536;
  const int bound = scaled(3000, usual);
  const int execs = bound * 107 / 100 / 3;  // three events each: 70,000
  auto shim = start_one(bound == usual ? 0 : bound);
  shim->end(shim->create_begin(fast_request("c1")));
  shim->start("c1");
  shim->until([&] { return forwarded_.size() == 2; });
  stop_events();
  forwarded_.clear();
  const pid_t pid = only_shim().pid;
  const double before = bench::memory_of(pid).private_dirty;
  const auto begin = Clock::now();
  run_execs(*shim, execs);
  const double full = bench::memory_of(pid).private_dirty - before;
  figure("undelivered events, with a queue of " + std::to_string(bound), 3 * execs);
  figure("seconds in which they came", std::chrono::duration<double>(Clock::now() - begin).count());
  figure("private memory more with a full queue, kB", full);
  if (has_measurable_memory(pid)) {
    EXPECT_LT(full, 2048 + 0.3 * bound) << "kB; the execs that are under way take some of it";
  }
  serve_events();
  await_growth(*shim, bound, [&] { return static_cast<int>(forwarded_.size()); });
  shim->pass(50ms);  // a duplicate would arrive meanwhile
  EXPECT_EQ(forwarded_.size(), static_cast<std::size_t>(bound));
  std::set<std::string> exits;
  for (const std::string& line : history())
    if (line.rfind("exit c1 ", 0) == 0 && !exits.insert(line).second) ADD_FAILURE() << line;
  EXPECT_EQ(exits.size(), static_cast<std::size_t>(execs)) << "older events are dropped first";
  exec(*shim, "c1", "last", {"exit", "0"});
  shim->remove("c1", "last");  // the shim frees memory after a deletion
  shim->pass(50ms);
  figure("private memory more once they are taken, kB",
         bench::memory_of(pid).private_dirty - before);
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
