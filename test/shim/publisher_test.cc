// SPDX-License-Identifier: Apache-2.0
// Events for a containerd that is running, away, restarts, answers errors, or does not answer.
#include "shim/publisher.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <functional>

#include "base/error.h"
#include "base/log.h"
#include "events.pb.h"
#include "support/temp_dir.h"
#include "support/unix_socket.h"
#include "task_events.pb.h"
#include "ttrpc/server.h"
#include "wire.pb.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;
using containerd::services::events::ttrpc::v1::ForwardRequest;
namespace events = containerd::events;
using Lines = std::vector<std::string>;

// containerd's server: accepts events, or treats the next ones as the test says.
class Containerd {
 public:
  enum class Mode { accept, accept_late, refuse, refuse_for_now, refuse_for_good, hang };

  Containerd(Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) { up(); }

  void up() {
    server_.emplace(loop_);
    server_->add("containerd.services.events.ttrpc.v1.Events", "Forward", *this,
                 &Containerd::forward);
    server_->on_last_disconnect([this] { ++closed; });
    ::unlink(path_.c_str());
    serving_.spawn(server_->serve(test::listen_at(path_)), "serve");
  }
  void down() {
    serving_.cancel();
    server_.reset();
  }

  std::deque<Mode> modes;  // of the next calls; later ones are accepted
  Lines accepted;          // container ids
  Lines received;          // with those that were not accepted
  std::vector<std::uint64_t> received_at;
  std::vector<ForwardRequest> requests;
  int closed = 0;  // connections

 private:
  Task<wire::Empty> forward(ForwardRequest request) {
    events::TaskExit event;  // every task event begins with its container's id
    event.ParseFromString(request.envelope().event().value());
    received.push_back(event.container_id());
    received_at.push_back(loop_.now());
    Mode mode = Mode::accept;
    if (!modes.empty()) {
      mode = modes.front();
      modes.pop_front();
    }
    if (mode == Mode::refuse) throw Error::unknown("I would rather not");
    if (mode == Mode::refuse_for_now) throw Error::unavailable("not now");
    if (mode == Mode::refuse_for_good) throw Error::invalid_argument("what is that");
    if (mode == Mode::hang) co_await never_.wait();
    if (mode == Mode::accept_late) co_await sleep(loop_, 6s);
    accepted.push_back(event.container_id());
    requests.push_back(std::move(request));
    co_return wire::Empty();
  }

  Loop& loop_;
  std::string path_;
  Event never_;
  std::optional<Server> server_;
  TaskSet serving_;
};
using Mode = Containerd::Mode;

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() { start(65536); }
  ~PublisherTest() override {
    publisher.reset();
    containerd.reset();
    EXPECT_EQ(loop.close(), 0);
  }
  void start(std::uint64_t max_queued) { start_for(path, max_queued); }
  void start_for(const std::string& address, std::uint64_t max_queued = 65536) {
    start(Publisher::Settings{address, "test-namespace", max_queued});
  }
  void start(Publisher::Settings settings) {
    publisher.reset();
    publisher.emplace(loop, std::move(settings));
  }
  void come() { containerd.emplace(loop, path); }

  void publish(const char* topic, const std::string& id) {
    // The first field of each is the container's id: the type does not matter here.
    events::TaskExit event;
    event.set_container_id(id);
    event.set_id(id);
    publisher->publish(topic, event);
  }
  void exec_exit(const std::string& id) {
    events::TaskExit event;
    event.set_container_id(id);
    event.set_id("e1");
    publisher->publish(kTopicExit, event);
  }
  void exits(int from, int to) {
    for (int i = from; i < to; ++i) publish(kTopicExit, std::to_string(i));
  }
  static Lines numbers(int from, int to) {
    Lines lines;
    for (int i = from; i < to; ++i) lines.push_back(std::to_string(i));
    return lines;
  }
  static Task<> pause(Loop& loop, Duration time) { co_await sleep(loop, time); }
  void pass(Duration time) { loop.run(pause(loop, time)); }
  void until(const std::function<bool()>& condition, Duration limit = 30s) {
    const std::uint64_t end = loop.now() + static_cast<std::uint64_t>(limit.count());
    while (!condition()) {
      if (loop.now() > end) throw std::runtime_error("this takes too long");
      pass(2ms);
    }
  }
  void until_empty() {
    until([&] { return publisher->queued() == 0; });
  }

  // Whether a start would be delayed.
  bool delays_starts() { return !loop.run(within(loop, 0ms, publisher->throttle())); }

  static std::string read_available(int fd) {
    char text[65536];
    const ssize_t size = ::read(fd, text, sizeof text);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

  Loop loop;
  test::TempDir directory;
  std::string path = directory / "containerd.ttrpc";
  std::optional<Containerd> containerd;
  std::optional<Publisher> publisher;
};

TEST_F(PublisherTest, TakesAnAddressWithAScheme) {
  come();
  start_for("unix://" + path);
  publish(kTopicExit, "1");
  until_empty();
  EXPECT_EQ(containerd->accepted, Lines{"1"});
}

TEST_F(PublisherTest, SetsEveryFieldThatContainerdChecks) {
  come();
  events::TaskExit event;
  event.set_container_id("c1");
  event.set_id("e1");
  event.set_pid(7);
  event.set_exit_status(137);
  timespec before{};
  clock_gettime(CLOCK_REALTIME, &before);
  publisher->publish(kTopicExit, event);
  until_empty();
  ASSERT_EQ(containerd->requests.size(), 1u);
  const auto& envelope = containerd->requests[0].envelope();
  EXPECT_EQ(envelope.namespace_(), "test-namespace");
  EXPECT_EQ(envelope.topic(), "/tasks/exit");
  EXPECT_GE(envelope.timestamp().seconds(), before.tv_sec);
  EXPECT_LE(envelope.timestamp().seconds(), before.tv_sec + 60);
  EXPECT_EQ(envelope.event().type_url(), "containerd.events.TaskExit");
  EXPECT_EQ(envelope.event().value(), event.SerializeAsString());
}

TEST_F(PublisherTest, KeepsTheOrder) {
  come();
  exits(0, 1000);
  until_empty();
  EXPECT_EQ(containerd->accepted, numbers(0, 1000));
}

TEST_F(PublisherTest, WaitsForAContainerdThatComesLater) {
  exits(0, 100);
  pass(300ms);
  EXPECT_EQ(publisher->queued(), 100u);
  come();
  exits(100, 200);
  until_empty();
  EXPECT_EQ(containerd->accepted, numbers(0, 200));
}

TEST_F(PublisherTest, DeliversEachOnceAcrossAnyNumberOfRestarts) {
  come();
  for (int round = 0; round < 10; ++round) {
    exits(round * 10, round * 10 + 5);
    until_empty();
    containerd->down();
    exits(round * 10 + 5, round * 10 + 10);
    pass(10ms);
    containerd->up();
  }
  until_empty();
  EXPECT_EQ(containerd->accepted, numbers(0, 100));
}

TEST_F(PublisherTest, SendsAgainWhatAKilledContainerdDidNotAnswer) {
  come();
  containerd->modes = {Mode::hang};
  exits(0, 3);
  until([&] { return containerd->received.size() == 1; });
  containerd->down();
  pass(100ms);
  containerd->up();
  until_empty();
  EXPECT_EQ(containerd->accepted, numbers(0, 3));
}

TEST_F(PublisherTest, DoesNotReorderEventsBehindARefusedOne) {
  come();
  containerd->modes = {Mode::refuse_for_now, Mode::refuse_for_now, Mode::refuse_for_now};
  exits(0, 5);
  until_empty();
  EXPECT_EQ(containerd->received, (Lines{"0", "0", "0", "0", "1", "2", "3", "4"}));
  EXPECT_EQ(containerd->accepted, numbers(0, 5));
}

// An error is an answer; a retry each second would not change it.
TEST_F(PublisherTest, BacksOffFromAContainerdThatRefuses) {
  come();
  containerd->modes.assign(100, Mode::refuse);
  exits(0, 3);
  until([&] { return containerd->received.size() == 7; });  // after 3.2 s
  EXPECT_GE(containerd->received_at[6] - containerd->received_at[5], 1500u)
      << "an outage has it ask each second";
  containerd->modes.clear();
  until_empty();
  EXPECT_EQ(containerd->accepted, numbers(0, 3));
}

TEST_F(PublisherTest, DropsAnInvalidEvent) {
  come();
  containerd->modes = {Mode::accept, Mode::refuse_for_good};
  exits(0, 4);
  until_empty();
  EXPECT_EQ(containerd->received, numbers(0, 4));
  EXPECT_EQ(containerd->accepted, (Lines{"0", "2", "3"}));
}

TEST_F(PublisherTest, DropsAnEventThatIsLargerThanAMessage) {
  come();
  events::TaskCreate huge;
  huge.set_container_id("huge");
  for (int i = 0; i < 70; ++i) huge.add_rootfs()->set_source(std::string(64 << 10, 'x'));
  publish(kTopicExit, "0");
  publisher->publish(kTopicCreate, huge);
  publish(kTopicExit, "1");
  until_empty();
  EXPECT_EQ(containerd->accepted, numbers(0, 2));
}

// The stock shim, which sends an event again after five seconds, publishes its events twice.
TEST_F(PublisherTest, SendsEachEventOnceToASlowContainerd) {
  come();
  containerd->modes = {Mode::accept_late};
  exits(0, 3);
  until_empty();
  EXPECT_EQ(containerd->received, numbers(0, 3));
  EXPECT_EQ(containerd->accepted, numbers(0, 3));
}

TEST_F(PublisherTest, DoesNotThrottleStartsForASlowContainerd) {
  come();
  containerd->modes = {Mode::hang};
  exits(0, 100);
  EXPECT_TRUE(delays_starts());
  until([&] { return !delays_starts(); });
  EXPECT_EQ(containerd->received, numbers(0, 1)) << "it may still answer";
}

// If a running containerd never answers a request, it has lost it.
TEST_F(PublisherTest, RetriesOnANewConnectionAfterTheAnswerLimit) {
  EXPECT_EQ(Publisher::Settings{}.answer_limit, 10min) << "RELIABILITY.md says so";
  Publisher::Settings settings{path, "test-namespace"};
  settings.answer_limit = 1s;
  start(settings);
  come();
  containerd->modes = {Mode::hang};
  const std::uint64_t began = loop.now();
  exits(0, 3);
  for (int i = 3; i < 100; ++i) {
    const std::uint64_t before = loop.now();
    publish(kTopicExit, std::to_string(i));
    EXPECT_LT(loop.now() - before, 1000u) << "publish() does not wait";
    pass(1ms);
  }
  until_empty();
  EXPECT_GE(loop.now() - began, 1000u) << "containerd is given its time";
  EXPECT_EQ(containerd->accepted, numbers(0, 100));
  EXPECT_EQ(containerd->closed, 1) << "the one without an answer";
}

// --- the limit of the queue

TEST_F(PublisherTest, DropsTheOldestThatIsNeitherExitNorDeletionIfTheQueueIsFull) {
  start(5);
  publish(kTopicCreate, "being sent");
  pass(1ms);
  publish(kTopicStart, "oldest");
  publish(kTopicExit, "exit 1");
  publish(kTopicExecAdded, "second");
  publish(kTopicDelete, "delete 1");
  EXPECT_EQ(publisher->queued(), 5u);
  publish(kTopicOom, "third");
  publish(kTopicExit, "exit 2");
  EXPECT_EQ(publisher->queued(), 5u);
  publish(kTopicStart, "fourth");
  publish(kTopicStart, "fifth");
  EXPECT_EQ(publisher->queued(), 5u);
  come();
  until_empty();
  EXPECT_EQ(containerd->accepted, (Lines{"being sent", "exit 1", "delete 1", "exit 2", "fifth"}));
}

TEST_F(PublisherTest, DropsExitsOfExecsBeforeThoseOfContainersAndTheOldestFirst) {
  start(4);
  publish(kTopicCreate, "being sent");
  pass(1ms);
  publish(kTopicExit, "exit 1");
  exec_exit("exec 1");
  exec_exit("exec 2");
  publish(kTopicDelete, "delete 1");
  publish(kTopicExit, "exit 2");
  EXPECT_EQ(publisher->queued(), 4u);
  publish(kTopicDelete, "delete 2");
  exec_exit("exec 3");
  EXPECT_EQ(publisher->queued(), 4u);
  come();
  until_empty();
  EXPECT_EQ(containerd->accepted, (Lines{"being sent", "exit 2", "delete 2", "exec 3"}));
}

TEST_F(PublisherTest, LogsOnceThatEventsAreDroppedAndLaterHowMany) {
  Pipe pipe = make_pipe(O_NONBLOCK);
  log::set_sink(pipe.write.duplicate());
  start(1);
  exits(0, 3001);
  come();
  until_empty();
  log::set_sink(Fd());
  const std::string log = read_available(pipe.read.get());
  const auto count = [&](const std::string& words) {
    std::size_t times = 0;
    for (std::size_t at = 0; (at = log.find(words, at)) != std::string::npos; ++at) ++times;
    return times;
  };
  EXPECT_EQ(count("event queue full: dropping events"), 1u) << log;
  EXPECT_EQ(count("events were dropped\" count=3000"), 1u) << log;
  EXPECT_EQ(containerd->accepted, numbers(3000, 3001));
}

// --- pace

TEST_F(PublisherTest, ThrottlesStartsWhileManyEventsAreQueued) {
  come();
  exits(0, 1000);
  EXPECT_TRUE(delays_starts());
  until([&] { return publisher->queued() <= 64; });
  EXPECT_FALSE(delays_starts());
}

TEST_F(PublisherTest, ThrottlesEachStartForTwoMillisecondsAtMost) {
  EXPECT_FALSE(delays_starts()) << "without events";
  come();
  containerd->modes = {Mode::hang};
  exits(0, 64);
  EXPECT_FALSE(delays_starts()) << "with a few";
  exits(64, 100);
  EXPECT_TRUE(delays_starts());
  loop.run(publisher->throttle());
  EXPECT_EQ(publisher->queued(), 100u) << "no event was taken";
  TaskSet starts;
  for (int n = 0; n < 1000; ++n) starts.spawn(publisher->throttle(), "start");
  containerd->down();
  until([&] { return !delays_starts(); });
  EXPECT_TRUE(loop.run(within(loop, 1s, starts.wait_empty()))) << "the waiting starts continue";
}

// --- the rest

TEST_F(PublisherTest, WithoutAnAddressDiscardsEvents) {
  Publisher nowhere(loop, Publisher::Settings{"", "test-namespace", 10});
  nowhere.publish(kTopicExit, events::TaskExit());
  EXPECT_EQ(nowhere.queued(), 0u);
  loop.run(nowhere.drain(5s));
}

TEST_F(PublisherTest, DrainWaitsUntilAllIsDelivered) {
  come();
  containerd->modes = {Mode::refuse_for_now, Mode::refuse_for_now};
  exits(0, 10);
  loop.run(publisher->drain(30s));
  EXPECT_EQ(containerd->accepted, numbers(0, 10));
  EXPECT_EQ(publisher->queued(), 0u);
}

TEST_F(PublisherTest, DrainTimesOutWithoutAContainerd) {
  exits(0, 10);
  const std::uint64_t began = loop.now();
  loop.run(publisher->drain(100ms));
  EXPECT_GE(loop.now() - began, 95u);
  EXPECT_LT(loop.now() - began, 5000u);
  EXPECT_EQ(publisher->queued(), 10u);
}

TEST_F(PublisherTest, DrainDoesNotWaitForAContainerdThatRefuses) {
  come();
  containerd->modes.assign(100, Mode::refuse);
  exits(0, 3);
  std::uint64_t began = loop.now();
  loop.run(publisher->drain(30s));
  EXPECT_LT(loop.now() - began, 5000u) << "refused while it waits";
  began = loop.now();
  exits(3, 5);
  loop.run(publisher->drain(30s));
  EXPECT_LT(loop.now() - began, 5000u) << "refused before";
  EXPECT_EQ(publisher->queued(), 5u);
  // containerd accepts events again.
  containerd->modes.clear();
  until([&] { return !containerd->accepted.empty(); });
  loop.run(publisher->drain(30s));
  EXPECT_EQ(containerd->accepted, numbers(0, 5));
}

TEST_F(PublisherTest, MayBeDestroyedDuringACall) {
  come();
  containerd->modes = {Mode::hang};
  exits(0, 3);
  until([&] { return containerd->received.size() == 1; });
  publisher.reset();
}

// An outage may last for days, and the log goes to a fifo that is read later.
TEST_F(PublisherTest, LogsAnOutageOnce) {
  Pipe pipe = make_pipe(O_NONBLOCK);
  log::set_sink(pipe.write.duplicate());
  log::set_level(log::Level::info);
  std::string lines;
  const auto count = [&] {
    lines += read_available(pipe.read.get());
    std::size_t times = 0;
    for (std::size_t at = 0; (at = lines.find("forward", at)) != std::string::npos; ++at) ++times;
    return times;
  };
  exits(0, 2);
  until([&] { return count() != 0; });
  pass(1500ms);  // some six attempts
  come();
  until_empty();
  EXPECT_EQ(count(), 1u) << lines;
  containerd->down();
  exits(2, 3);
  until([&] { return count() != 1; });
  pass(200ms);  // two attempts
  log::set_sink(Fd());
  EXPECT_EQ(count(), 2u) << lines;
}

}  // namespace
}  // namespace thinshim
