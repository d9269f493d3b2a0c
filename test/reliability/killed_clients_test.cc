// SPDX-License-Identifier: Apache-2.0
// containerd's client, and containerd itself, are killed at any moment of a container's life: the
// next client can finish or undo what they have begun.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <random>

#include "reliability/scale.h"
#include "support/end_to_end.h"
#include "support/fake_runtime.h"
#include "support/terminal.h"

namespace thinshim::test {
namespace {

class KilledClients : public EndToEnd {
 protected:
  // A shim that containerd has forgotten exits by itself, but later than a test waits.
  KilledClients() : random_(static_cast<unsigned>(scaled(1, 2))) {
    const std::string path = directory_ / "thinshim.yaml";
    std::filesystem::create_directories(directory_);
    std::ofstream(path) << "version: 1\nplugins: {io.containerd.ttrpc.v1.task: "
                           "{idle_timeout: 2s}}\n";
    ::setenv("THINSHIM_CONFIG", path.c_str(), 1);
    std::ofstream(logger_) << "#!/bin/sh\nexec 5>&-\nexec cat <&3 >/dev/null\n";
    std::filesystem::permissions(logger_, std::filesystem::perms::owner_all);
  }
  ~KilledClients() override { ::unsetenv("THINSHIM_CONFIG"); }

  void wait_a_moment(int below_milliseconds) {
    ::usleep(static_cast<useconds_t>(random_() % static_cast<unsigned>(below_milliseconds)) * 1000);
  }

  // A client of one of the kinds begins a container's life; at some moment `strike` is called, then
  // the client is killed.
  void begin_and_kill(const std::string& id, const std::function<void()>& strike = [] {}) {
    const Words programs[] = {{"/bin/true"}, {"/bin/sleep", "1000"}, {"/no/such/program"}};
    const Words program = programs[random_() % 3];
    const Words flags[] = {{},
                           {"--null-io"},
                           {"--rm"},
                           {"--detach", "--null-io"},
                           {"--log-uri", "file://" + (shared() / "log").string()},
                           {"--log-uri", "binary://" + logger_}};
    const std::size_t kind = random_() % (std::size(flags) + 2);
    if (kind < std::size(flags)) {
      strike_at(run_command(id, program, flags[kind]), 250, strike);
    } else if (kind == std::size(flags)) {
      Terminal client(run_command(id, program, {"--tty"}));
      wait_a_moment(250);
      strike();
    } else {
      run_detached(id, program, {"--null-io", "--runc-binary", runtime_.binary()});
      const std::string image = directory_ / ("image-" + id);
      strike_at(ctr_.command({"task", "checkpoint", "--image-path", image, id}), 100, strike);
    }
    ++lives_[kind];
  }

  void strike_at(
      const Words& command, int below_milliseconds, const std::function<void()>& strike = [] {}) {
    Subprocess client = Subprocess(command);
    wait_a_moment(below_milliseconds);
    strike();
    client.signal(SIGKILL);
    client.wait();
  }

  // As an administrator would, who may have to repeat it while other work is under way.
  void clean_up(const std::string& id) {
    EXPECT_TRUE(eventually([&] {
      if (!status(id).empty()) ctr_({"task", "delete", "--force", id});
      if (!status(id).empty()) return false;
      ctr_({"container", "delete", id});
      return ctr_({"container", "info", id}).exit_code != 0 && status(id).empty();
    })) << id
        << " " << status(id);
  }

  std::mt19937 random_;
  FakeRuntime runtime_;  // can do a checkpoint
  std::string logger_ = directory_ / "logger";
  std::map<std::size_t, int> lives_;  // by kind
};

TEST_F(KilledClients, LeaveNothing) {
  const int lives = scaled(12, 1000);
  for (int n = 0; n < lives && !HasFailure(); ++n) {
    const std::string id = "c" + std::to_string(n);
    begin_and_kill(id);
    if (random_() % 3 == 0 && status(id) == "RUNNING") {
      strike_at(exec_command(id, {"/bin/sleep", "1000"}, {}), 150);
    }
    clean_up(id);
  }
  figure("lives whose client was killed at some moment", lives);
  figure("kinds of them", static_cast<double>(lives_.size()));
}

TEST_F(KilledClients, LeaveNothingWhereItIsContainerdToo) {
  const int lives = scaled(4, 100);
  for (int n = 0; n < lives && !HasFailure(); ++n) {
    const std::string id = "c" + std::to_string(n);
    begin_and_kill(id, [this] { containerd_.kill(); });
    containerd_.start();
    clean_up(id);
  }
  figure("lives whose containerd was killed at some moment", lives);
  figure("kinds of them", static_cast<double>(lives_.size()));
}

}  // namespace
}  // namespace thinshim::test
