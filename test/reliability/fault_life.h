// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reliability/fast_shim.h"
#include "reliability/fault_injection.h"

namespace thinshim::test {

// Lives of a shim with a fault, and what must hold nevertheless: a caller whose request fails gets
// a clear error; the shim keeps running, or is dead and `delete` cleans up; nothing is left over,
// and no exit is lost. A violation is a problem of that life; the next life starts anew, so that
// one run shows all problems.
class FaultLifeTest : public FastShimTest {
 protected:
  struct Life {
    std::string title;  // precedes each problem
    std::optional<Fault> fault;
    pid_t pid = 0;  // the shim's
    bool died = false;
    bool lasting = false;  // the failed call may fail again
    Lines errors;          // what callers got: "Create: text"
    Injection::Report report;
    std::size_t first_event = 0;  // in history()
  };

  void SetUp() override;

  // A whole life: a container with a mounted root file system and a log file, and two execs, the
  // second with a terminal.
  Life live(const std::optional<Fault>& fault);
  // A traced `start` that finds a living shim of its pod; if it succeeds, its answer must be
  // usable.
  Life join(const std::optional<Fault>& fault);
  // A shim is killed while its container runs, then a traced `delete`.
  Life die(const std::optional<Fault>& fault);
  // A pod of containerd 2.3 and later whose shim is alive: one of three containers was deleted,
  // then a traced `delete` of that one. The other containers must keep running.
  Life delete_beside(const std::string& deleted, const std::optional<Fault>& fault);
  // Such a pod whose shim is killed; containerd removes all bundles but the sandbox's; then a
  // traced `delete` of the sandbox.
  Life die_as_pod(const std::optional<Fault>& fault);

  void problem(const Life& life, const std::string& what);
  const Lines& problems() const { return problems_; }

  // --- the parts of a life
  Life new_life(const std::optional<Fault>& fault) const;
  void make_fresh_bundle();
  void empty_bundle(const std::string& id);
  api::CreateTaskRequest life_request() const;
  // A client's steps, from Create to Delete and the shim's exit. They stop if the shim is dead.
  void go_through(TaskCalls& shim, Life& life);
  void end_shim_of(TaskCalls& shim, Life& life);
  // Kills and deletes what is left of the container, whatever its state.
  void end_container(TaskCalls& shim, Life& life);
  // Checks the events of the last container whose Create succeeded, with its exits.
  void expect_events(TaskCalls& shim, Life& life);
  // Runs three containers of one shim.
  std::unique_ptr<TaskCalls> run_pod(Life& life, std::map<std::string, pid_t>& inits);
  // What containerd does at the end, and what may be left then.
  void clean_up(Life& life, const std::string& id = "c1");
  void expect_nothing_left(Life& life, const Leftovers& before);
  // Whether the shim has sanitizers, which make calls of their own and cannot handle their failure.
  bool is_sanitized() const { return sanitized_; }
  // Called when the container runs.
  std::function<void()> before_execs_ = [] {};
  // The program, with its arguments, that runs the traced `start` and `delete`.
  Words wrapper_;
  // The name that clients use.
  std::string runtime_ = fast_runtime();
  // Whether the error says what failed, and why.
  void expect_clear(Life& life, const std::string& what, const std::string& text);

  // Calls; if that fails and the shim is alive, calls again, after the fault.
  using Asking = std::function<void()>;
  bool ask(Life& life, const std::string& what, const Asking& asking);
  bool ask_once(Life& life, const std::string& what, const Asking& asking);
  // Runs the loop until this is true, or a timeout.
  bool becomes_true(TaskCalls& shim, const std::function<bool()>& condition,
                    Duration limit = std::chrono::seconds(10) * slowness());

 private:
  bool run_container(TaskCalls& shim, Life& life);
  void run_exec(TaskCalls& shim, Life& life, const std::string& exec_id, bool terminal);
  bool start_exec(TaskCalls& shim, Life& life, const std::string& exec_id,
                  const api::ExecProcessRequest& request);
  void expect_files_as_before(TaskCalls& shim, Life& life);
  Lines files_of(pid_t pid) const;
  SubprocessOptions traced_surroundings(const std::string& id) const;
  // A traced `delete`, which must answer, or report a clear error.
  Outcome traced_delete(Life& life, const std::string& id);
  void expect_clear_refusal(Life& life, const Outcome& start);
  std::set<std::string> files_in_bundle(const std::string& id) const;

  bool sanitized_ = false;
  std::size_t log_read_ = 0;  // bytes of the log that earlier lives have read
  Lines wanted_events_;
  std::optional<Lines> files_after_a_life_;  // the shim's open files after the first life
  Lines problems_;
};

}  // namespace thinshim::test
