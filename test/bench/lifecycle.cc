// SPDX-License-Identifier: Apache-2.0
// Whole lives of containers, call by call, and the same runtime commands without a shim.
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <optional>

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
    const double whole = with_shim();
    const double floor = without_shim();
    samples_.add("life/whole", whole);
    samples_.add("life/floor", floor);
    samples_.add("life/share", whole - floor);
  }

 private:
  double with_shim() {
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
      shim.state(kId);  // answered after the shim has heard of the waiter
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

    samples_.add("life/start-action", start.milliseconds);
    samples_.add("life/create", create);
    samples_.add("life/start", started);
    samples_.add("life/exit", exit);
    samples_.add("life/delete", removal);
    samples_.add("life/shutdown", end.milliseconds);
    samples_.add("life/delete-action", cleanup.milliseconds);
    samples_.add("life/cpu", start.cpu + end.own_cpu + cleanup.cpu);
    samples_.add("life/runtime-cpu", end.child_cpu);
    return start.milliseconds + create + started + exit + removal + end.milliseconds +
           cleanup.milliseconds;
  }

  double without_shim() {
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

    samples_.add("life/floor-create", mount + create.milliseconds);
    samples_.add("life/floor-start", start.milliseconds);
    samples_.add("life/floor-exit", exit);
    samples_.add("life/floor-delete", removal.milliseconds + umount);
    return mount + create.milliseconds + start.milliseconds + exit + removal.milliseconds + umount;
  }

  Place& place_;
  Samples& samples_;
};

// The action `delete` where a shim has died beside its running container.
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
    wait_for(pid, status);            // which was left to us
    ::unlink(shim.socket().c_str());  // which the stock shim leaves
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
