// SPDX-License-Identifier: Apache-2.0
// Whole lives of containers, call by call, and the same runtime commands without a shim.
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "bench/costs.h"
#include "bench/row.h"
#include "bench/shim.h"

namespace thinshim::bench {
namespace {

constexpr const char* kId = "life";
constexpr int kEventsOfALife = 4;  // create, start, exit, delete

template <class Work>
double timed(Work work) {
  const Stopwatch watch;
  work();
  return watch.milliseconds();
}

class Life : public Scene {
 public:
  Life(Place& place, Samples& samples) : place_(place), samples_(samples) {}

  void repeat(int) override {
    with_shim();
    without_shim();
  }
  void end() override { samples_.add("life/share", life_.fastest() - floor_.fastest()); }

 private:
  // The fastest run of each step: other load makes steps slower, and differences between slowed
  // steps mean nothing.
  class Steps {
   public:
    // Returns the sum.
    double add(Samples& samples, const std::map<std::string, double>& steps) {
      double sum = 0;
      for (const auto& [row, time] : steps) {
        samples.add(row, time);
        const auto known = fastest_.emplace(row, time).first;
        known->second = std::min(known->second, time);
        sum += time;
      }
      return sum;
    }
    double fastest() const {
      double sum = 0;
      for (const auto& [row, time] : fastest_) sum += time;
      return sum;
    }

   private:
    std::map<std::string, double> fastest_;
  };

  void with_shim() {
    const std::uint64_t events = place_.ground().events.count();
    place_.make_bundle(kId, {"/bin/sleep", "100000"});
    const Run start = place_.start(kId);
    Shim shim(place_, start.output);
    pid_t pid = 0;
    const double create = timed([&] { shim.create(kId); });
    shim.pid();
    const double started = timed([&] { pid = shim.start_process(kId); });
    double exit = 0;
    {
      Waiter waiter = shim.wait(kId);
      shim.state(kId);  // the shim has read the Wait when it answers this
      exit = timed([&] {
        check(::kill(pid, SIGKILL), "kill a container's process");
        waiter.finish();
      });
    }
    const double removal = timed([&] { shim.remove(kId); });
    place_.ground().events.expect(events + kEventsOfALife);
    const Shim::End end = shim.shut_down();
    const Run cleanup = place_.remove(kId);
    place_.remove_bundle(kId);

    const double sum = life_.add(samples_, {{"life/start-action", start.milliseconds},
                                            {"life/create", create},
                                            {"life/start", started},
                                            {"life/exit", exit},
                                            {"life/delete", removal},
                                            {"life/shutdown", end.milliseconds},
                                            {"life/delete-action", cleanup.milliseconds}});
    samples_.add("life/whole", sum);
    samples_.add("life/cpu", start.cpu + end.own_cpu + cleanup.cpu);
    samples_.add("life/runtime-cpu", end.child_cpu);
  }

  void without_shim() {
    place_.make_bundle(kId, {"/bin/sleep", "100000"});
    const std::string bundle = place_.bundle(kId);
    const std::string rootfs = bundle + "/rootfs";
    const std::string pid_file = place_.pid_file();
    const double mount = timed([&] {
      check(::mount(place_.rootfs().c_str(), rootfs.c_str(), "bind", MS_BIND | MS_REC, nullptr),
            "mount");
    });
    const Run create = place_.runtime({"create", "--bundle", bundle, "--pid-file", pid_file, kId});
    const Run start = place_.runtime({"start", kId});
    const pid_t pid = *read_pid_file(pid_file);
    const double exit = timed([&] {
      check(::kill(pid, SIGKILL), "kill a container's process");
      int status = 0;
      wait_for(pid, status);
    });
    const Run removal = place_.runtime({"delete", kId});
    const double umount = timed([&] { check(::umount(rootfs.c_str()), "umount"); });
    place_.remove_bundle(kId);

    const double sum = floor_.add(samples_, {{"life/floor-create", mount + create.milliseconds},
                                             {"life/floor-start", start.milliseconds},
                                             {"life/floor-exit", exit},
                                             {"life/floor-delete", removal.milliseconds + umount}});
    samples_.add("life/floor", sum);
  }

  Place& place_;
  Samples& samples_;
  Steps life_;
  Steps floor_;
};

// The action `delete` after the shim of a running container has died.
class Crash : public Scene {
 public:
  Crash(Place& place, Samples& samples) : place_(place), samples_(samples) {}

  void repeat(int) override {
    Shim shim = Shim::start(place_, kId);
    const pid_t pid = shim.run(kId);
    shim.pid();
    shim.crash();
    samples_.add("crash/delete-action", place_.remove(kId).milliseconds);
    int status = 0;
    wait_for(pid, status);            // it was reparented to us
    ::unlink(shim.socket().c_str());  // the stock shim leaves it
    place_.remove_bundle(kId);
  }

 private:
  Place& place_;
  Samples& samples_;
};

}  // namespace

std::unique_ptr<Scene> make_life(Place& place, Samples& samples) {
  return std::make_unique<Life>(place, samples);
}
std::unique_ptr<Scene> make_crash(Place& place, Samples& samples) {
  return std::make_unique<Crash>(place, samples);
}

}  // namespace thinshim::bench
