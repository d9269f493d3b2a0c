// SPDX-License-Identifier: Apache-2.0
// The Task API, containerd.task.v2.Task and containerd.task.v3.Task, whose messages are the same on
// the wire (containerd, api/runtime/task): request in, a container's verb, response out.
//
// What changes a container runs to its end in the service's own set of tasks, even where the client
// has gone meanwhile; for that the runtime has `patience`, then it is killed. A container that was
// made too late for its client is removed again. What only asks is answered from memory at once,
// but for a container that is just being created. Errors and texts are the stock shim's
// (containerd, cmd/containerd-shim-runc-v2/task/service.go).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "async/sync.h"
#include "task/container.h"
#include "task/creations.h"
#include "task/group_records.h"
#include "task/lifetime.h"
#include "ttrpc/server.h"

namespace thinshim {

// What `start` tells the shim that it sends a container to, before it gives out the address:
// Expect, with a ConnectRequest's id. It does not wait for an answer; a stock shim has none.
inline constexpr const char* kStartService = "thinshim.v1.Start";
inline constexpr const char* kExpect = "Expect";

class TaskService {
 public:
  // What a request's options say, complete with what is configured.
  struct Options {
    RuncOptions runc;
    StdioOptions stdio;
    bool direct_signals;    // oci/runtime.h
    Duration signal_delay;  // Process::wait_for_handlers()
  };
  struct Settings {
    // Of containerd: part of the runtime's root directory.
    std::string containerd_namespace;
    // The shim's own, for the bundles of containers that came without a `start`.
    std::string address;
    // The bundle of the shim's first container, which holds a record of each other one
    // (oci/group_record.h); empty where nobody is to be recorded.
    std::string first_bundle;
    // Reads what came in Create, until the event is set. Throws Error.
    std::function<Task<Options>(wire::Any, Process::Stop)> read_options;
    // How long a runtime may still take once its client has gone or run out of time.
    Duration patience = std::chrono::seconds(10);
    // How long a call for a container waits for a Create of it that is under way. Clients may ask
    // for it before they have the answer (nerdctl, to close the input). containerd gives State 2 s.
    Duration creation = std::chrono::seconds(1);
    // How long a deletion may take, though its client waits: then the runtime, or the unmounting,
    // is killed, and the next attempt begins anew.
    Duration deletion = std::chrono::minutes(1);
    // How long the shim stays without a container; its `end` is called when it is to go.
    Lifetime::Settings lifetime = {};
    // Called when a container is asked for; may be missing.
    std::function<void()> work_comes = {};
  };
  TaskService(Reaper& reaper, EventSink& events, Settings settings);
  TaskService(const TaskService&) = delete;
  TaskService& operator=(const TaskService&) = delete;

  // Registers every method under both versions' names. The service must outlive the server.
  void serve(Server& server);
  // The containers as a JSON array, of Container::describe(), and how many are being made.
  std::string describe() const;
  std::size_t being_created() const { return creations_.count(); }

  // Whether there is no container, none is made for a client, and none is expected.
  bool has_no_work() const;
  // Whether nobody can ask for anything here any more: every container is dead, and its bundle is
  // gone, without which containerd does not know of it.
  bool is_forgotten() const;

  // Waits until what is being made for clients that have gone is undone again, without patience now
  // and for two seconds at most.
  Task<> creates_finished();
  // Publishes the exits of all that are dead by now.
  void publish_exits();
  // Waits for the logging programs of containers that are gone, which is bounded.
  Task<> loggers_finished() { return loggers_.finish(); }

 private:
  Task<api::StateResponse> state(api::StateRequest request);
  Task<api::CreateTaskResponse> create(api::CreateTaskRequest request);
  Task<api::StartResponse> start(api::StartRequest request);
  Task<api::DeleteResponse> remove(api::DeleteRequest request);
  Task<api::PidsResponse> pids(api::PidsRequest request);
  Task<wire::Empty> pause(api::PauseRequest request);
  Task<wire::Empty> resume(api::ResumeRequest request);
  Task<wire::Empty> update(api::UpdateTaskRequest request);
  Task<wire::Empty> checkpoint(api::CheckpointTaskRequest request);
  Task<api::StatsResponse> stats(api::StatsRequest request);
  Task<wire::Empty> kill(api::KillRequest request);
  Task<wire::Empty> exec(api::ExecProcessRequest request);
  Task<wire::Empty> resize_pty(api::ResizePtyRequest request);
  Task<wire::Empty> close_io(api::CloseIORequest request);
  Task<api::WaitResponse> wait(api::WaitRequest request);
  Task<api::ConnectResponse> connect(api::ConnectRequest request);
  Task<wire::Empty> shutdown(api::ShutdownRequest request);
  Task<wire::Empty> expect(api::ConnectRequest request);

  // Throws Error not_found "container not created".
  std::shared_ptr<Container> container(const std::string& id) const;
  std::shared_ptr<Container> set_up(const api::CreateTaskRequest& request, Options read);
  Task<std::shared_ptr<Container>> make_container(Process::Stop stop,
                                                  api::CreateTaskRequest request);
  Task<std::shared_ptr<Process>> remove_process(Process::Stop stop,
                                                std::shared_ptr<Container> container,
                                                std::string exec_id);
  // Runs a verb to its end, but gives it up `patience` after its request has gone.
  template <class T, class... Arguments>
  Task<T> see_through(std::shared_ptr<Container> container, const char* what,
                      Task<T> (Container::*verb)(Process::Stop, Arguments...),
                      Arguments... arguments);
  std::function<void()> abandoned(Process::Stop stop);
  Task<> stop_later(Process::Stop stop);
  bool is_wanted() const;  // a container, or one that a client waits for
  void work_changes();
  void tidy_up();
  Task<> tidy_up_later();

  Reaper& reaper_;
  EventSink& events_;
  Settings settings_;
  Loggers loggers_;
  std::shared_ptr<AbsentReaders> readers_;
  GroupRecords records_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  Creations creations_;
  Lifetime lifetime_;
  Event ending_;
  TaskSet operations_;
  TaskSet tidying_;
  bool code_unmapped_ = false;
};

}  // namespace thinshim
