// SPDX-License-Identifier: Apache-2.0
// Runs one order on the real service: TaskService behind a ttrpc server, with the reaper and the
// loop, in this process. One client sends what the script says; the other, the observer, calls Wait
// for every process, and State for every process after each step.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "orders/scripted_runtime.h"
#include "orders/step.h"
#include "orders/trace.h"
#include "orders/trace_sink.h"
#include "process/reaper.h"
#include "task/service.h"
#include "ttrpc/client.h"
#include "ttrpc/server.h"

namespace thinshim::orders {

// Once in each process, before its first OrderRun.
void prepare_process();

class OrderRun {
 public:
  // `directory` is empty; the run leaves a bundle in it.
  OrderRun(const Setup& setup, const std::string& directory);
  ~OrderRun();
  OrderRun(const OrderRun&) = delete;
  OrderRun& operator=(const OrderRun&) = delete;

  // The steps that are possible now.
  std::vector<Step> enabled() const;
  void perform(const Step& step);
  const Trace& trace() const { return trace_; }
  // Lets time pass while calls hang, unblocks them, then removes the container as a client would,
  // and records what is left over. The last call.
  Trace finish();

 private:
  struct Request {
    std::string verb;
    Role role;
    bool by_observer;
  };
  void write(Entry entry);
  TaskService::Settings settings(const std::string& directory);
  void begin(const Step& step);
  ScriptedRuntime::Call* call_of(const Step& step) const;
  Task<> do_step(Step step);
  Task<> settle();
  Task<> pass(Duration time);
  // Whether State may be called for it; for init during Create too.
  bool is_known(Role role) const;
  void observe();
  Task<> remove_container();
  Task<> disconnect_clients();
  void record_leftovers();

  template <class Response, class Message>
  Task<bool> call(Client& client, std::string verb, Role role, Message message);
  Task<> call_exec(Role role);
  void spawn_request(const Step& step);
  template <class Response, class Message>
  void spawn(Client& client, std::string verb, Role role, Message message);

  std::size_t count(Step::Act act, Role role) const;
  std::size_t faults() const;
  std::vector<Step> steps_of(Role role) const;
  void add_client_steps(std::vector<Step>& steps) const;
  void add_runtime_steps(std::vector<Step>& steps) const;

  const Setup& setup_;
  std::string directory_;
  std::size_t descriptors_before_;
  Trace trace_;
  std::vector<Step> steps_;             // with those of the setup
  bool created_ = false;                // TaskCreate was published
  bool deleted_ = false;                // TaskDelete was published
  std::map<std::string, bool> failed_;  // whether init's last call of this verb failed
  std::map<Role, bool> added_;
  std::map<int, Request> pending_;  // requests by number
  std::map<Role, bool> waits_;      // whether the observer has called Wait
  int last_request_ = 0;

  std::optional<Loop> loop_;
  std::optional<ScriptedRuntime> runtime_;
  std::optional<Reaper> reaper_;
  std::optional<TraceSink> sink_;
  std::optional<TaskService> service_;
  std::optional<Server> server_;
  std::optional<Client> client_;
  std::optional<Client> observer_;
  TaskSet serving_;
  TaskSet calls_;
};

}  // namespace thinshim::orders
