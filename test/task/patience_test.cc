// SPDX-License-Identifier: Apache-2.0
// Runtimes that keep the shim waiting for as long as it waits at all: up to half a minute. All at
// the same time.
#include <signal.h>

#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class Patience : public TaskTest {};

// Three containers: `shared` has a runtime that hangs when init's companions shall be killed, the
// terminals of an exec in `c0` and of `c1` never come.
TEST_F(Patience, EndsWhereTheRuntimeHangs) {
  runtime.before("kill", "[ $id != shared ] || " + std::string("exec sleep 60"));
  const pid_t pid = run("shared", false);
  run_exec("shared", "e1", "exec sleep 60");
  run("c0");
  make_bundle("c1");
  api::CreateTaskRequest request = create_request("c1");
  request.set_terminal(true);
  auto creating = create_begin(request);
  api::ExecProcessRequest exec;
  exec.set_id("c0");
  exec.set_exec_id("e1");
  exec.set_terminal(true);
  exec.mutable_spec()->set_value(R"({"args":["exec sleep 60"]})");
  call<Empty>("Exec", exec);
  auto starting = start_begin("c0", "e1");
  ::kill(pid, SIGKILL);

  EXPECT_EQ(wait("shared"), 137u);
  EXPECT_EQ(sink.history_of("shared").back(), "exit shared 137");
  EXPECT_EQ(sink.history_of("shared").size(), 6u) << "the exec was killed without the runtime";
  remove("shared");
  EXPECT_FALSE(creating->done.is_set());
  const std::string text = "failed to retrieve console master: the runtime sent none";
  EXPECT_REFUSED(creating, unknown, text);
  EXPECT_REFUSED(starting, unknown, text);
  EXPECT_REFUSED(state_begin("c1"), not_found, "container not created: not found");
  end_container("c0");
}

}  // namespace
}  // namespace thinshim::test
