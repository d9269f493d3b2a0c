// SPDX-License-Identifier: Apache-2.0
// The cost of idle shims.
#include <signal.h>
#include <unistd.h>

#include <list>
#include <optional>

#include "base/error.h"
#include "bench/costs.h"
#include "bench/with_container.h"

namespace thinshim::bench {
namespace {

void add_memory(Samples& samples, const std::string& rows, const Memory& memory) {
  samples.add(rows + "rss", memory.resident);
  samples.add(rows + "pss", memory.proportional);
  samples.add(rows + "private", memory.private_dirty);
  samples.add(rows + "threads", memory.threads);
  samples.add(rows + "kernel-stacks", memory.kernel_stacks);
}

void settle(double seconds) { ::usleep(static_cast<useconds_t>(seconds * 1e6)); }

// With one container, and after many execs.
class OneContainer : public WithContainer {
 public:
  using WithContainer::WithContainer;
  void begin() override {
    WithContainer::begin();
    settle(place_.ground().quick ? 0.2 : 1);
    first_ = memory_of(shim_->pid());
    add_memory(samples_, "memory/", first_);
  }
  void repeat(int turn) override { run_exec(*shim_, kId, "exec-" + std::to_string(turn)); }
  void end() override {
    const Memory now = memory_of(shim_->pid());
    add_memory(samples_, "memory/execs-", now);
    samples_.add("memory/execs-growth", (now.private_dirty / first_.private_dirty - 1) * 100);
    WithContainer::end();
  }

 private:
  Memory first_;
};

// Twenty containers of one shim.
class Pod : public Scene {
 public:
  Pod(Place& place, Samples& samples) : place_(place), samples_(samples) {}
  void begin() override {
    for (int i = 0; i < 20; ++i) {
      const std::string id = "box-" + std::to_string(i);
      place_.make_bundle(id, {"/bin/sleep", "100000"}, false, "pod");
      const std::string answer = place_.start(id).output;
      if (!shim_) shim_.emplace(place_, answer);
      containers_.emplace_back(id, shim_->run(id));
    }
    shim_->pid();
  }
  void end() override {
    add_memory(samples_, "memory-pod/", memory_of(shim_->pid()));
    for (const auto& [id, pid] : containers_) shim_->end_container(id, pid);
    shim_->shut_down();
    for (const auto& [id, pid] : containers_) place_.remove(id);
  }

 private:
  Place& place_;
  Samples& samples_;
  std::optional<Shim> shim_;
  std::list<std::pair<std::string, pid_t>> containers_;
};

// How much memory the machine loses to many shims, each with a container.
class Many : public Scene {
 public:
  Many(Place& place, Samples& samples) : place_(place), samples_(samples) {}
  void repeat(int) override {
    const int count = place_.ground().quick ? 20 : 100;
    const double pause = place_.ground().quick ? 0.2 : 2;
    struct One {
      std::string id;
      Shim shim;
      pid_t container;
    };
    std::list<One> all;
    settle(pause);
    const double before = available_memory();
    for (int i = 0; i < count; ++i) {
      const std::string id = "box-" + std::to_string(i);
      One& one = all.emplace_back(One{id, Shim::start(place_, id), 0});
      one.container = one.shim.run(id);
    }
    settle(pause);
    samples_.add("memory-machine/available", (before - available_memory()) / count);
    for (One& one : all) one.shim.end(one.id, one.container);
  }

 private:
  Place& place_;
  Samples& samples_;
};

// How often the shim wakes up while its container runs and no client calls it.
class Idle : public WithContainer {
 public:
  using WithContainer::WithContainer;
  void begin() override {
    WithContainer::begin();
    settle(1);
  }
  void repeat(int) override { before_ = switches_of(shim_->pid()); }
  void end() override {
    samples_.add("idle/wake-ups", switches_of(shim_->pid()) - before_);
    WithContainer::end();
  }

 private:
  double before_ = 0;
};

}  // namespace

std::unique_ptr<Scene> make_memory(Place& place, Samples& samples) {
  return std::make_unique<OneContainer>(place, samples);
}
std::unique_ptr<Scene> make_pod_memory(Place& place, Samples& samples) {
  return std::make_unique<Pod>(place, samples);
}
std::unique_ptr<Scene> make_machine_memory(Place& place, Samples& samples) {
  return std::make_unique<Many>(place, samples);
}
std::unique_ptr<Scene> make_idle(Place& place, Samples& samples) {
  return std::make_unique<Idle>(place, samples);
}

}  // namespace thinshim::bench
