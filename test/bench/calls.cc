// SPDX-License-Identifier: Apache-2.0
// Calls of a shim while its container runs.
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <list>

#include "base/file.h"
#include "bench/costs.h"
#include "bench/with_container.h"

namespace thinshim::bench {
namespace {

constexpr const char* kExec = "exec";
constexpr int kClients = 10;

class Exec : public WithContainer {
 public:
  using WithContainer::WithContainer;

  void begin() override {
    WithContainer::begin();
    std::ofstream(process_file()) << kTrueProcess;
    with_shim();
    without_shim();
  }
  void repeat(int) override {
    const double cpu = cpu_milliseconds(shim_->pid());
    const double whole = with_shim();
    samples_.add("exec/cpu", cpu_milliseconds(shim_->pid()) - cpu);
    const double floor = without_shim();
    samples_.add("exec/whole", whole);
    samples_.add("exec/floor", floor);
    fastest_ = std::min(fastest_, whole);
    fastest_floor_ = std::min(fastest_floor_, floor);
  }
  void end() override {
    // All samples include the machine's other load; the fastest includes the least.
    samples_.add("exec/share", fastest_ - fastest_floor_);
    WithContainer::end();
  }

 private:
  std::string process_file() const { return place_.bundle(kId) / "exec.json"; }
  double with_shim() {
    const Stopwatch watch;
    run_exec(*shim_, kId, kExec);
    return watch.milliseconds();
  }
  double without_shim() {
    const std::string pid_file = place_.pid_file();
    const Stopwatch watch;
    place_.runtime({"exec", "--process", process_file(), "--detach", "--pid-file", pid_file, kId});
    int status = 0;
    wait_for(*read_pid_file(pid_file), status);
    return watch.milliseconds();
  }

  double fastest_ = std::numeric_limits<double>::infinity();
  double fastest_floor_ = std::numeric_limits<double>::infinity();
};

class Calls : public WithContainer {
 public:
  using WithContainer::WithContainer;

  void begin() override {
    WithContainer::begin();
    for (int i = 0; i < kClients; ++i) clients_.emplace_back(loop(), shim_->socket());
    ten_clients(1);
    all_once();
    nothing();
  }
  void repeat(int) override {
    const std::vector<double> times = all_once();
    const char* names[] = {"call/kill", "call/pids", "call/state", "call/stats", "call/connect"};
    for (std::size_t i = 0; i < times.size(); ++i) samples_.add(names[i], times[i]);
    nothing();  // warms up as the others do
    samples_.add("call/nothing", nothing());
  }
  void end() override {
    const int calls = place_.ground().quick ? 10 : 100;
    const Stopwatch watch;
    ten_clients(calls);
    samples_.add("call/ten-clients", watch.milliseconds() / (calls * kClients));

    const int stats = place_.ground().quick ? 100 : 1000;
    const double cpu = cpu_milliseconds(shim_->pid());
    for (int i = 0; i < stats; ++i) ask<api::StatsRequest, api::StatsResponse>("Stats");
    samples_.add("call/stats-cpu", (cpu_milliseconds(shim_->pid()) - cpu) * 1000 / stats);

    for (Client& client : clients_) client.close();
    sink_.close();
    WithContainer::end();
  }

 private:
  Loop& loop() { return place_.ground().loop; }

  template <class Request, class Response>
  double ask(const char* method, Request request = request_for<Request>(kId, "")) {
    const Stopwatch watch;
    shim_->call<Response>(method, request);
    return watch.milliseconds();
  }
  // The cost of the client and of the way to another process: a call of our own event sink.
  double nothing() {
    const Stopwatch watch;
    await(loop(), sink_.call<Empty>("containerd.services.events.ttrpc.v1.Events", "Forward",
                                    Empty(), Duration(0)));
    return watch.milliseconds();
  }
  std::vector<double> all_once() {
    auto kill = request_for<api::KillRequest>(kId, "");
    kill.set_signal(SIGCONT);  // changes nothing
    return {ask<api::KillRequest, Empty>("Kill", kill),
            ask<api::PidsRequest, api::PidsResponse>("Pids"),
            ask<api::StateRequest, api::StateResponse>("State"),
            ask<api::StatsRequest, api::StatsResponse>("Stats"),
            ask<api::ConnectRequest, api::ConnectResponse>("Connect")};
  }

  static Task<> call_state(Client& client, int times) {
    const auto request = request_for<api::StateRequest>(kId, "");
    for (int i = 0; i < times; ++i)
      co_await client.call<api::StateResponse>(kService, "State", request, Duration(0));
  }
  static Task<bool> until_empty(TaskSet& tasks) {
    co_await tasks.wait_empty();
    co_return true;
  }
  void ten_clients(int calls) {
    TaskSet asking;
    for (Client& client : clients_) asking.spawn(call_state(client, calls), "State");
    await(loop(), until_empty(asking));
  }

  std::list<Client> clients_;
  Client sink_{loop(), place_.ground().events.path()};
};

}  // namespace

std::unique_ptr<Scene> make_exec(Place& place, Samples& samples) {
  return std::make_unique<Exec>(place, samples);
}
std::unique_ptr<Scene> make_calls(Place& place, Samples& samples) {
  return std::make_unique<Calls>(place, samples);
}

}  // namespace thinshim::bench
