// SPDX-License-Identifier: Apache-2.0
// The Task API: containerd.task.v2.Task and containerd.task.v3.Task, whose messages are the same on
// the wire (containerd, api/runtime/task). Turns each request into a verb of a container.
//
// - A verb that changes a container runs to its end in the service's own tasks, even where its
//   client has disconnected or its deadline has passed. The runtime may run on for the grace period
//   then, and is killed after that. A Create is undone then (creations.h).
// - A request that only reads is answered from memory at once, unless its container is being
//   created.
// - Error codes and texts are the stock shim's (containerd,
//   cmd/containerd-shim-runc-v2/task/service.go).
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

// How `start`, before it prints the address of a running shim, tells that shim that a container
// will come: Expect, with a ConnectRequest's id. It does not wait for the response; a stock shim
// does not know the service.
inline constexpr const char* kStartService = "thinshim.v1.Start";
inline constexpr const char* kExpect = "Expect";

class TaskService {
 public:
  // A request's options, with the configuration for what they do not set.
  struct Options {
    RuncOptions runc;
    StdioOptions stdio;
    bool direct_signals;    // oci/runtime.h
    Duration signal_delay;  // Process::wait_for_handlers()
  };
  struct Settings {
    // Of containerd: part of the runtime's root directory.
    std::string containerd_namespace;
    // The shim's own, written to every bundle: not each container has had a `start`.
    std::string address;
    // The bundle of the shim's first container, with a record of each other one
    // (oci/group_record.h); empty: no records.
    std::string first_bundle;
    // Reads the options of a Create; cancelled once the event is set. Throws Error.
    std::function<Task<Options>(wire::Any, Process::Stop)> read_options;
    // How long a runtime may run on after its client has disconnected or its deadline has passed.
    Duration grace_period = std::chrono::seconds(10);
    // How long a request for a container waits for a Create of it that is under way. nerdctl asks
    // for it before it has the response, to close the input. containerd gives State 2 s.
    Duration creation = std::chrono::seconds(1);
    // How long a deletion may take, though its client waits: then the runtime, or the unmounting,
    // is killed, and a later Delete begins anew.
    Duration deletion = std::chrono::minutes(1);
    // When the shim exits without a container; calls its `end` then.
    Lifetime::Settings lifetime = {};
    // Called at each Create; may be empty.
    std::function<void()> on_create = {};
  };
  TaskService(Reaper& reaper, EventSink& events, Settings settings);
  TaskService(const TaskService&) = delete;
  TaskService& operator=(const TaskService&) = delete;

  // Registers every method under both versions' names. The service must outlive the server.
  void serve(Server& server);
  // A JSON array of Container::describe().
  std::string describe() const;
  std::size_t being_created() const { return creations_.count(); }

  // Whether there is no container, no client waits for a Create, and no container is expected.
  bool has_no_work() const { return !has_containers() && !lifetime_.expects(); }
  // Whether containerd knows of no container here any more: each is dead, and its bundle is gone.
  bool is_forgotten() const;

  // For the shim's exit: ends the grace periods, and waits for Creates that are being undone, for
  // two seconds at most.
  Task<> creates_finished();
  // Publishes the exits of all dead processes.
  void publish_exits();
  // Waits for the loggers of deleted containers, which have limits of their own.
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
  Task<> wait(api::WaitRequest request, Reply reply);
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
  // Runs a verb to its end; kills its runtime the grace period after the request was cancelled.
  template <class T, class... Arguments>
  Task<T> run_verb(std::shared_ptr<Container> container, const char* what,
                   Task<T> (Container::*verb)(Process::Stop, Arguments...), Arguments... arguments);
  // What to do where a request is cancelled before its verb has ended.
  std::function<void()> on_cancel(Process::Stop stop);
  Task<> stop_after_grace_period(Process::Stop stop);
  bool has_containers() const;  // or Creates whose clients wait
  void update_lifetime();
  void release_memory();
  Task<> release_memory_later();

  Reaper& reaper_;
  EventSink& events_;
  Settings settings_;
  Loggers loggers_;
  std::shared_ptr<FifoReaders> readers_;
  GroupRecords records_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  Creations creations_;
  Lifetime lifetime_;
  Event shutting_down_;
  TaskSet operations_;
  TaskSet releasing_;
  bool code_unmapped_ = false;
};

}  // namespace thinshim
