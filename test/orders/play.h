// SPDX-License-Identifier: Apache-2.0
// Plays one order on the real service: TaskService behind a ttrpc server, with the reaper and the
// loop, in this process; a client that does what the script says, and another that watches: it
// waits for every process, and asks for every state after each step.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "orders/sink.h"
#include "orders/stage.h"
#include "orders/step.h"
#include "orders/trace.h"
#include "process/reaper.h"
#include "task/service.h"
#include "ttrpc/client.h"
#include "ttrpc/server.h"

namespace thinshim::orders {

// Once for each process that plays: what must be before the first Play.
void prepare_to_play();

class Play {
 public:
  // In an empty directory, in which nothing is left but for the bundle.
  Play(const Scene& scene, const std::string& directory);
  ~Play();
  Play(const Play&) = delete;
  Play& operator=(const Play&) = delete;

  // What may come next.
  std::vector<Step> enabled() const;
  void perform(const Step& step);
  // So far.
  const Trace& trace() const { return trace_; }
  // Lets time pass for whatever hangs; then ends what is left, as a client would; and returns what
  // has happened. Nothing may be done after it.
  Trace finish();

 private:
  struct Request {
    std::string verb;
    Who who;
    bool by_observer;
  };
  void write(Entry entry);
  TaskService::Settings settings(const std::string& directory);
  void begin_step(const Step& step);
  void control(const Step& step);
  Stage::Call* call_of(const Step& step) const;
  Task<> do_step(Step step);
  Task<> settle();
  Task<> pass(Duration time);
  // Init is, as soon as a client asks for it.
  bool is_known(Who who) const;
  void observe();
  Task<> clean_up();
  Task<> let_go();
  void look_for_leftovers();

  template <class Response, class Message>
  Task<bool> ask(Client& client, std::string verb, Who who, Message message);
  Task<> ask_exec(Who who);
  void spawn_request(const Step& step);
  template <class Response, class Message>
  void spawn(Client& client, std::string verb, Who who, Message message);

  std::size_t count(Step::Act act, Who who) const;
  std::size_t faults() const;
  std::vector<Step> history_of(Who who) const;
  void add_client_steps(std::vector<Step>& steps) const;
  void add_runtime_steps(std::vector<Step>& steps) const;

  const Scene& scene_;
  std::string directory_;
  std::size_t descriptors_before_;
  Trace trace_;
  std::vector<Step> steps_;  // those of the scene too
  bool created_ = false;     // as the events say
  bool removed_ = false;
  std::map<std::string, bool> failed_;  // Create and Start of init, the last one
  std::map<Who, bool> added_;
  std::map<int, Request> asked_;  // and not answered
  std::map<std::pair<std::string, Who>, bool> asks_;
  int last_request_ = 0;

  std::optional<Loop> loop_;
  std::optional<Stage> stage_;
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
