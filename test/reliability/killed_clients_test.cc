// SPDX-License-Identifier: Apache-2.0
// containerd's client is killed at any moment of a container's life, and containerd itself too:
// what it has begun can be finished or undone by the next one.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "reliability/scale.h"
#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

class KilledClients : public EndToEnd {
 protected:
  // Whom containerd forgets ends by itself, but not within the time that a test has.
  KilledClients() : random_(static_cast<unsigned>(scaled(1, 2))) {
    const std::string path = directory_ / "thinshim.yaml";
    std::filesystem::create_directories(directory_);
    std::ofstream(path) << "version: 1\nplugins: {io.containerd.ttrpc.v1.task: "
                           "{idle_timeout: 2s}}\n";
    ::setenv("THINSHIM_CONFIG", path.c_str(), 1);
  }
  ~KilledClients() override { ::unsetenv("THINSHIM_CONFIG"); }

  void wait_a_moment(int below_milliseconds) {
    ::usleep(static_cast<useconds_t>(random_() % static_cast<unsigned>(below_milliseconds)) * 1000);
  }

  // A life by `ctr`, of one kind or another, that ends at some moment of it.
  void begin_and_kill(const std::string& id) {
    const Words flags[] = {{},
                           {"--null-io"},
                           {"--rm"},
                           {"--log-uri", "file://" + (shared() / "log").string()},
                           {"--detach", "--null-io"}};
    const Words programs[] = {{"/bin/true"}, {"/bin/sleep", "1000"}, {"/no/such/program"}};
    Subprocess client = Subprocess(run_command(id, programs[random_() % 3], flags[random_() % 5]));
    wait_a_moment(250);
    client.signal(SIGKILL);
    client.wait();
  }

  // As an administrator does it, who may have to ask again while something is under way.
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
};

TEST_F(KilledClients, LeaveNothing) {
  const int lives = scaled(12, 1000);
  for (int n = 0; n < lives && !HasFailure(); ++n) {
    const std::string id = "c" + std::to_string(n);
    begin_and_kill(id);
    if (random_() % 3 == 0 && status(id) == "RUNNING") {
      Subprocess client = Subprocess(exec_command(id, {"/bin/sleep", "1000"}, {}));
      wait_a_moment(150);
      client.signal(SIGKILL);
      client.wait();
    }
    clean_up(id);
  }
  figure("lives whose client was killed at some moment", lives);
}

TEST_F(KilledClients, LeaveNothingWhereItIsContainerdToo) {
  const int lives = scaled(4, 100);
  for (int n = 0; n < lives && !HasFailure(); ++n) {
    const std::string id = "c" + std::to_string(n);
    Subprocess client = Subprocess(run_command(id, {"/bin/sleep", "1000"}, {"--null-io"}));
    wait_a_moment(250);
    containerd_.kill();
    client.signal(SIGKILL);
    client.wait();
    containerd_.start();
    clean_up(id);
  }
  figure("lives whose containerd was killed at some moment", lives);
}

}  // namespace
}  // namespace thinshim::test
