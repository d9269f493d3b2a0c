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

// Lives of a shim in which something fails, and what must hold of each all the same: whoever asked
// for something is told in clear words why it was not done; the shim goes on, or is dead and
// `delete` cleans up; nothing is left, and no exit is lost. What does not hold is a problem of that
// life; the next one begins anew, so that one run shows them all.
class FaultLifeTest : public FastShimTest {
 protected:
  struct Life {
    std::string title;  // stands before each problem
    std::optional<Fault> fault;
    pid_t pid = 0;  // the shim's
    bool died = false;
    bool lasting = false;  // what was refused may be refused again
    Lines errors;          // what callers were told: "Create: text"
    Injection::Report report;
    std::size_t first_event = 0;  // in history()
  };

  void SetUp() override;

  // A whole one: a container with its root file system mounted and a log file, and two execs, the
  // second of them with a terminal.
  Life live(const std::optional<Fault>& fault);
  // A traced `start` that finds a living shim of its pod; whoever is answered can use what it says.
  Life join(const std::optional<Fault>& fault);
  // One whose shim is killed while its container runs, and then a traced `delete`.
  Life die(const std::optional<Fault>& fault);
  // A pod of containerd 2.3 and later whose shim lives: one of its three containers was deleted,
  // and then comes a traced `delete` of that. Its neighbours must run on.
  Life delete_beside(const std::string& deleted, const std::optional<Fault>& fault);
  // Such a pod whose shim is killed, and of which containerd removes all bundles but the sandbox's,
  // and then a traced `delete` of that.
  Life die_as_pod(const std::optional<Fault>& fault);

  void problem(const Life& life, const std::string& what);
  const Lines& problems() const { return problems_; }

  // --- the parts of a life
  Life new_life(const std::optional<Fault>& fault) const;
  void make_fresh_bundle();
  void empty_bundle(const std::string& id);
  api::CreateTaskRequest life_request() const;
  // A client's steps, from Create to Delete, and to the shim's end. They stop where it is dead.
  void go_through(TaskCalls& shim, Life& life);
  void end_shim_of(TaskCalls& shim, Life& life);
  // What is left of the container is ended and deleted, whatever it is.
  void end_container(TaskCalls& shim, Life& life);
  // Those of the last container of which the client was told that it was made, exits and all.
  void expect_events(TaskCalls& shim, Life& life);
  // Runs three containers of one shim.
  std::unique_ptr<TaskCalls> run_pod(Life& life, std::map<std::string, pid_t>& inits);
  // What containerd does in the end, and what must be left then.
  void clean_up(Life& life, const std::string& id = "c1");
  void expect_nothing_left(Life& life, const Leftovers& before);
  // Whether the shim has sanitizers, which make calls of their own, and do not bear it when they
  // fail.
  bool is_sanitized() const { return sanitized_; }
  // Done when the container runs.
  std::function<void()> before_execs_ = [] {};
  // The program, with its arguments, that runs the traced `start` and `delete`.
  Words wrapper_;
  // As clients name it.
  std::string runtime_ = fast_runtime();
  // Whether the caller was told what could not be done, and why.
  void expect_clear(Life& life, const std::string& what, const std::string& text);

  // Asks; where that is refused, and the shim is alive, a second time: the fault is over then.
  using Asking = std::function<void()>;
  bool ask(Life& life, const std::string& what, const Asking& asking);
  bool ask_once(Life& life, const std::string& what, const Asking& asking);
  // Waits, while the loop runs, for what may never be.
  bool comes_true(TaskCalls& shim, const std::function<bool()>& condition,
                  Duration limit = std::chrono::seconds(10) * slowness());

 private:
  bool run_container(TaskCalls& shim, Life& life);
  void run_exec(TaskCalls& shim, Life& life, const std::string& exec_id, bool terminal);
  bool start_exec(TaskCalls& shim, Life& life, const std::string& exec_id,
                  const api::ExecProcessRequest& request);
  void expect_files_as_before(TaskCalls& shim, Life& life);
  Lines files_of(pid_t pid) const;
  SubprocessOptions traced_surroundings(const std::string& id) const;
  // A traced `delete`, which says in clear words what it has not done, or has an answer.
  Outcome traced_delete(Life& life, const std::string& id);
  void expect_clear_refusal(Life& life, const Outcome& start);
  std::set<std::string> files_in_bundle(const std::string& id) const;

  bool sanitized_ = false;
  std::size_t log_read_ = 0;  // of the log, by the lives before
  Lines wanted_events_;
  std::optional<Lines> files_after_a_life_;  // the shim's open ones, of the first life
  Lines problems_;
};

}  // namespace thinshim::test
