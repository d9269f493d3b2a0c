// SPDX-License-Identifier: Apache-2.0
// Many containers at once, each with a shim of its own.
#include <sys/resource.h>

#include <list>

#include "base/error.h"
#include "bench/costs.h"
#include "bench/row.h"
#include "bench/shim.h"

namespace thinshim::bench {
namespace {

struct Member {
  std::string id;
  std::unique_ptr<Shim> shim;
  pid_t container = 0;
  double start_cpu = 0;
};

// All calls of containerd until the container runs.
Task<> run_member(Place& place, Member& member) {
  Place::Starting starting = place.begin_start(member.id);
  {
    Watch watch(place.ground().loop, starting.answer.get());
    co_await watch.readable();
  }
  set_nonblocking(starting.answer.get(), false);
  const Run start = place.end_start(std::move(starting));  // waits for its exit
  member.start_cpu = start.cpu;
  member.shim = std::make_unique<Shim>(place, start.output);
  Client& client = member.shim->client();
  const api::CreateTaskRequest create = member.shim->create_request(member.id);
  co_await client.call<api::CreateTaskResponse>(kService, "Create", create, Duration(0));
  const auto request = request_for<api::StartRequest>(member.id, "");
  auto started = co_await client.call<api::StartResponse>(kService, "Start", request, Duration(0));
  member.container = static_cast<pid_t>(started.pid());
}

Task<bool> run_all(Place& place, std::list<Member>& members) {
  TaskSet running;
  for (Member& member : members) running.spawn(run_member(place, member), member.id);
  co_await running.wait_empty();
  co_return true;
}

double cpu_of_children() {
  rusage usage{};
  check(::getrusage(RUSAGE_CHILDREN, &usage), "getrusage");
  return cpu_milliseconds(usage);
}

class Crowd : public Scene {
 public:
  Crowd(Place& place, Samples& samples) : place_(place), samples_(samples) {}

  void repeat(int) override {
    const int count = place_.ground().quick ? 10 : 100;
    std::list<Member> members;
    for (int i = 0; i < count; ++i) {
      members.push_back({"box-" + std::to_string(i), nullptr});
      place_.make_bundle(members.back().id, {"/bin/sleep", "100000"});
    }
    reap_orphans();
    const double before = cpu_of_children();
    const Stopwatch watch;
    await(place_.ground().loop, run_all(place_, members));
    const double time = watch.seconds();
    double own = 0;
    for (Member& member : members) {
      if (member.container == 0) throw Error::unknown(member.id + " does not run");
      own += member.start_cpu + cpu_milliseconds(member.shim->pid());
    }
    samples_.add("crowd/time", time);
    samples_.add("crowd/cpu", own / 1e3);
    for (Member& member : members) member.shim->end(member.id, member.container);
    reap_orphans();
    samples_.add("crowd/all-cpu", (cpu_of_children() - before) / 1e3);
  }

 private:
  Place& place_;
  Samples& samples_;
};

}  // namespace

std::unique_ptr<Scene> make_crowd(Place& place, Samples& samples) {
  return std::make_unique<Crowd>(place, samples);
}

}  // namespace thinshim::bench
