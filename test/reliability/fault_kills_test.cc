// SPDX-License-Identifier: Apache-2.0
// SIGKILL of the shim at any moment of a life. Once `delete` has returned, no helper of the shim
// may do any further work.
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "reliability/fast_shim.h"
#include "reliability/scale.h"

namespace thinshim::test {
namespace {

class Kills : public FastShimTest {
 protected:
  // All steps of a life; those after the shim's death fail.
  static Task<> live(TaskCalls& shim, api::CreateTaskRequest create, api::ExecProcessRequest exec,
                     bool& over) {
    api::StartRequest start;
    start.set_id("c1");
    api::StartRequest start_exec = start;
    start_exec.set_exec_id("e1");
    api::KillRequest kill;
    kill.set_id("c1");
    kill.set_signal(SIGKILL);
    api::WaitRequest wait;
    wait.set_id("c1");
    api::DeleteRequest remove;
    remove.set_id("c1");
    try {
      co_await shim.client.call<api::CreateTaskResponse>(shim.service, "Create", create, 0ms);
      co_await shim.client.call<api::StartResponse>(shim.service, "Start", start, 0ms);
      co_await shim.client.call<Empty>(shim.service, "Exec", exec, 0ms);
      co_await shim.client.call<api::StartResponse>(shim.service, "Start", start_exec, 0ms);
      co_await shim.client.call<Empty>(shim.service, "Kill", kill, 0ms);
      co_await shim.client.call<api::WaitResponse>(shim.service, "Wait", wait, 0ms);
      co_await shim.client.call<api::DeleteResponse>(shim.service, "Delete", remove, 0ms);
    } catch (const Error&) {
    }
    over = true;
  }

  static api::ExecProcessRequest exec_request(const std::string& words) {
    api::ExecProcessRequest request;
    request.set_id("c1");
    request.set_exec_id("e1");
    request.mutable_spec()->set_value(R"({"user":{"uid":0,"gid":0},"cwd":"/","args":[)" + words +
                                      "]}");
    return request;
  }

  // Runs one life and kills the shim so many microseconds after its Create, or at its end. Returns
  // how long the life took.
  std::chrono::microseconds live_until(std::optional<useconds_t> moment,
                                       api::CreateTaskRequest request,
                                       const std::string& exec_words) {
    const Leftovers before(namespace_);
    const Outcome started = start("c1");
    EXPECT_TRUE(started.ok()) << started;
    if (!started.ok()) return {};
    auto shim = connect(started.out);
    const auto pid = static_cast<pid_t>(shim->end(shim->connect_begin("")).shim_pid());
    containerd::types::Mount* mount = request.add_rootfs();
    mount->set_type("bind");
    mount->set_source(rootfs());
    mount->add_options("rbind");
    bool over = false;
    const auto begin = Clock::now();
    std::thread killer([=] {
      if (!moment) return;
      ::usleep(*moment);
      ::kill(pid, SIGKILL);
    });
    shim->calls.spawn(live(*shim, request, exec_request(exec_words), over), "a life");
    shim->until([&] { return over; });
    const auto took = Clock::now() - begin;
    killer.join();
    ::kill(pid, SIGKILL);
    const Outcome cleaned = cleanup("c1");
    api::DeleteResponse answer;
    EXPECT_TRUE(cleaned.ok() && answer.ParseFromString(cleaned.out)) << cleaned;
    EXPECT_EQ(answer.exit_status(), 137u) << cleaned;
    std::string left;
    for (const std::string& trace : before.after()) left += "\n  " + trace;
    EXPECT_EQ(left, "") << cleaned;
    return std::chrono::duration_cast<std::chrono::microseconds>(took);
  }

  void kill_at_random_moments(const std::string& runtime, const Words& args,
                              const std::string& exec_words,
                              const api::CreateTaskRequest& request) {
    ContainerConfig config;
    config.args = args;
    config.rootfs = bundle("c1") / "rootfs";
    make_bundle("c1", config);
    const auto whole = live_until(std::nullopt, request, exec_words);
    const unsigned seed = std::random_device()();
    std::mt19937 random(seed);
    std::uniform_int_distribution<useconds_t> moment(
        0, static_cast<useconds_t>(whole.count() * 11 / 10));
    const int moments = scaled(20, 200);
    for (int i = 0; i < moments; ++i) {
      const useconds_t at = moment(random);
      SCOPED_TRACE("moment " + std::to_string(i) + " of seed " + std::to_string(seed) + ", " +
                   std::to_string(at) + " microseconds");
      live_until(at, request, exec_words);
      if (HasFailure()) return;
    }
    figure("moments at which a shim with " + runtime + " was killed", moments);
    figure("of a life of so many milliseconds with " + runtime,
           static_cast<double>(whole.count()) / 1000);
    figure("seed of the moments with " + runtime, seed);
  }
};

TEST_F(Kills, AtAnyMomentLeaveNothingThatDeleteDoesNotRemove) {
  kill_at_random_moments("the fast runtime", {"sleep"}, R"("write","20")", fast_request("c1"));
}

TEST_F(Kills, AtAnyMomentLeaveNothingOfARealContainer) {
  kill_at_random_moments("runc", {"/bin/sleep", "1000"}, R"("/bin/true")", create_request("c1"));
}

// A shim that was started nevertheless gets no container, and exits by itself.
TEST_F(Kills, OfStartAtAnyMomentLeaveNothing) {
  make_bundle("c1");
  const Leftovers before(namespace_);
  const std::string config = directory_ / "config.yaml";
  std::ofstream(config) << "version: 1\nplugins: {io.containerd.ttrpc.v1.task: "
                           "{idle_timeout: 1s}}\n";
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("THINSHIM_CONFIG=" + config);
  std::uniform_int_distribution<useconds_t> moment(0, 4000);
  std::mt19937 random(std::random_device{}());
  const int moments = scaled(20, 200);
  int answers = 0;
  for (int n = 0; n < moments; ++n) {
    Subprocess starting(command("c1", {"start"}), options);
    ::usleep(moment(random));
    starting.signal(SIGKILL);
    answers += starting.wait().ok();
    const Outcome cleaned = cleanup("c1");
    EXPECT_TRUE(cleaned.ok()) << cleaned;
  }
  EXPECT_TRUE(eventually([&] { return before.after().empty(); })) << *before.after().begin();
  figure("moments at which `start` was killed", moments);
  figure("of them after its end", answers);
}

}  // namespace
}  // namespace thinshim::test
