// SPDX-License-Identifier: Apache-2.0
// Whatever happens to containerd: every event reaches it, in order, once, and nobody waits for
// that.
#include <fstream>

#include "bench/costs.h"
#include "reliability/fast_shim.h"
#include "reliability/scale.h"

namespace thinshim::test {
namespace {

constexpr Duration kSlowest = 1s;  // an answer of a shim that waits for nobody, on a busy machine

class Events : public FastShimTest {
 protected:
  // How containerd takes events.
  enum class Mood { take, hang, refuse, dawdle };

  Task<> before_event() override {
    switch (mood_) {
      case Mood::take:
        break;
      case Mood::hang:
        co_await changed_.wait();
        throw Error::unknown("a containerd that has just been restarted");
      case Mood::refuse:
        throw Error::unknown("not now");
      case Mood::dawdle:
        co_await sleep(loop_, 20ms);
        break;
    }
  }
  void set_mood(Mood mood) {
    mood_ = mood;
    changed_.set();
    changed_.clear();
  }

  // Containers that live, one after the other, with two execs each, until the time is over; five a
  // second, as a busy node's. `meanwhile` is called between them.
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
    shim.end(shim.create_begin(fast_request(id)));
    shim.start(id);
    expect(Lines{"create " + id, "start " + id});
    for (const char* exec_id : {"e1", "e2"}) {
      exec(shim, id, exec_id, {"exit", "7"});
      shim.start(id, exec_id);
      EXPECT_EQ(shim.wait(id, exec_id), 7u);
      shim.remove(id, exec_id);
      const std::string both = " " + id + " " + exec_id;
      expect(Lines{"exec-added" + both, "exec-started" + both, "exit" + both + " 7"});
    }
    const auto asked = Clock::now();
    shim.state(id);
    slowest_ = std::max(slowest_, std::chrono::duration_cast<Duration>(Clock::now() - asked));
    shim.end_container(id);
    expect(Lines{"exit " + id + " 137", "delete " + id + " 137"});
  }

  void expect(const Lines& lines) { expected_.insert(expected_.end(), lines.begin(), lines.end()); }

  // All events are told, and `what` it was that they came through.
  void expect_all_told(TaskCalls& shim, const std::string& what) {
    shim.until([&] { return forwarded_.size() >= expected_.size(); });
    shim.pass(50ms);  // for one too many
    EXPECT_EQ(history(), expected_);
    EXPECT_LT(slowest_, kSlowest);
    figure(what + ": events, each once and in order", static_cast<double>(expected_.size()));
    figure(what + ": slowest State in the meantime, ms", static_cast<double>(slowest_.count()));
    end_shim(shim);
  }

  std::unique_ptr<TaskCalls> start_one() {
    make_bundle("c1");
    const Outcome started = start("c1");
    if (!started.ok()) throw std::runtime_error("start failed: " + started.out + started.err);
    return connect(started.out);
  }

  Mood mood_ = Mood::take;
  Event changed_;
  int lives_ = 0;
  Lines expected_;
  Duration slowest_{0};
};

TEST_F(Events, SurviveAContainerdThatIsAway) {
  auto shim = start_one();
  live(*shim, 300ms);
  stop_events();
  live(*shim, std::chrono::seconds(scaled(3, 600)));
  serve_events();
  live(*shim, 300ms);
  expect_all_told(*shim, "containerd away");
}

TEST_F(Events, SurviveAContainerdThatIsRestartedAllTheTime) {
  auto shim = start_one();
  bool away = false;
  live(*shim, std::chrono::seconds(scaled(4, 60)), [&] {
    away ? serve_events() : stop_events();
    away = !away;
  });
  if (away) serve_events();
  expect_all_told(*shim, "containerd restarted every 0.4 s");
}

TEST_F(Events, SurviveAContainerdThatNeverAnswers) {
  auto shim = start_one();
  set_mood(Mood::hang);
  live(*shim, std::chrono::seconds(scaled(6, 60)));
  set_mood(Mood::take);
  expect_all_told(*shim, "containerd that never answers");
}

TEST_F(Events, SurviveAContainerdThatRefusesThem) {
  auto shim = start_one();
  set_mood(Mood::refuse);
  live(*shim, std::chrono::seconds(scaled(2, 60)));
  set_mood(Mood::take);
  expect_all_told(*shim, "containerd that refuses");
}

TEST_F(Events, SurviveAContainerdThatIsSlow) {
  auto shim = start_one();
  set_mood(Mood::dawdle);
  live(*shim, std::chrono::seconds(scaled(2, 30)));
  expect_all_told(*shim, "containerd that takes 20 ms each");
}

TEST_F(Events, BeyondWhatTheQueueHoldsGoInTheOrderThatIsStated) {
  const std::string path = directory_ / "config.yaml";
  std::ofstream(path) << "version: 1\nplugins: {io.containerd.event.v1.publisher: "
                         "{max_queued: 100}}\n";
  make_bundle("c1");
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("THINSHIM_CONFIG=" + path);
  const Outcome started = test::run(command("c1", {"start"}), options);
  ASSERT_TRUE(started.ok()) << started.out;
  auto shim = connect(started.out);
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
  if (tells_memory(pid)) {
    EXPECT_LT(more, 100);
  }
  serve_events();
  shim->until([&] { return forwarded_.size() >= 100; });
  shim->pass(50ms);
  // The one that was being sent, and of the others the youngest ends of containers.
  const Lines told = history();
  ASSERT_EQ(told.size(), 100u);
  EXPECT_EQ(told[0], "create c1");
  for (std::size_t i = 1; i < told.size(); ++i)
    EXPECT_EQ(told[i], i % 2 == 0 ? "exit c1 137" : "delete c1 137") << i;
  EXPECT_NE(log_of("c1").find("events are dropped"), std::string::npos);
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
