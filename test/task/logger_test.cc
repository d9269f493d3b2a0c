// SPDX-License-Identifier: Apache-2.0
// Logging programs of containers and execs, as the Task API shows them. test/stdio tests what they
// get.
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class TaskLogger : public TaskTest {
 protected:
  // A logger that writes "CONTAINER_ID:" and stdout to `file`, then runs `then`.
  std::string logger(const std::string& file, const std::string& then = "",
                     const std::string& scheme = "binary") {
    const std::string path = directory / ("logger-" + file);
    write_file(path,
               "#!/bin/sh\nprintf %s: $CONTAINER_ID >" + (directory / file) +
                   "\nprintf x >&5; exec 5>&-\n/bin/cat <&3 >>" + (directory / file) + "\n" + then +
                   "\n",
               0755);
    return scheme + "://" + path;
  }
  std::string written(const std::string& file) {
    return read_file(directory / file).value_or("no file");
  }
  api::CreateTaskRequest request(const std::string& out) {
    make_bundle("c1");
    api::CreateTaskRequest request = create_request("c1");
    request.set_stdout(out);
    request.set_stderr(out);
    return request;
  }
  void run_with(const std::string& out, const std::string& shell) {
    runtime.set_program("c1", shell);
    end(create_begin(request(out)));
    start("c1");
  }
  CallPtr<Empty> exec_with(const std::string& id, const std::string& out,
                           const std::string& shell) {
    api::ExecProcessRequest request;
    request.set_id("c1");
    request.set_exec_id(id);
    request.set_stdout(out);
    request.set_stderr(out);
    request.mutable_spec()->set_value("{\"args\":[\"" + shell + "\"]}");
    return begin<Empty>("Exec", request);
  }
};

TEST_F(TaskLogger, OfEachProcessHasAllItsOutputWhenItIsDeleted) {
  run_with(logger("init"), "echo from init; exec sleep 60");
  end(exec_with("e1", logger("exec"), "echo from exec; exit 3"));
  start("c1", "e1");
  EXPECT_EQ(wait("c1", "e1"), 3u);
  remove("c1", "e1");
  EXPECT_EQ(written("exec"), "e1:from exec\n");
  end_container("c1");
  EXPECT_EQ(written("init"), "c1:from init\n");
}

TEST_F(TaskLogger, ThatIsSlowDelaysNoExitAndDeleteOnlyBriefly) {
  options.stdio.drain_timeout = 300ms;
  const std::string gate = directory / "gate";
  check(::mkfifo(gate.c_str(), 0600), "mkfifo");
  run_with(logger("log", "/bin/cat " + gate + " >>" + (directory / "log")), "echo text; exit 5");
  const std::uint64_t began = loop.now();
  EXPECT_EQ(wait("c1"), 5u) << "the exit is published at once";
  EXPECT_EQ(remove("c1").exit_status(), 5u);
  EXPECT_LE(loop.now() - began, 5000u) << "it would have ten seconds";
  until([&] { return written("log") == "c1:text\n"; });
  write_file(gate, "end\n", 0600);  // the logger continues after Delete
  TaskSet finishing;
  finishing.spawn(service_under_test->loggers_finished(), "finish");
  until([&] { return finishing.empty(); });
  EXPECT_EQ(written("log"), "c1:text\nend\n");
}

// nerdctl's logger stops reading after the exit event.
TEST_F(TaskLogger, HasReadAllWhenTheExitIsPublished) {
  const std::string path = directory / "slow", log = directory / "log";
  write_file(path,
             "#!/bin/sh\nexec 5>&-\nwhile read -r line <&3; do echo $line >>" + log + "; done\n",
             0755);
  run_with("binary://" + path,
           "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; exit 5");
  EXPECT_EQ(wait("c1"), 5u);
  const std::string text = read_file(log).value_or("");
  EXPECT_GE(std::count(text.begin(), text.end(), '\n'), 2999) << "but for the one in its hand";
  remove("c1");
}

TEST_F(TaskLogger, ThatDiesLeavesTheContainerRunning) {
  const std::string path = directory / "dies";
  write_file(path, "#!/bin/sh\nexit 1\n", 0755);
  run_with(
      "binary://" + path,
      "i=0; while [ $i -lt 20000 ]; do echo some more words of output; i=$((i+1)); done; exit 9");
  EXPECT_EQ(wait("c1"), 9u) << "neither held up nor killed";
  remove("c1");
}

TEST_F(TaskLogger, ThatIsNotReadyFailsCreateWhichLeavesNothing) {
  const std::string path = directory / "fails";
  write_file(path, "#!/bin/sh\nexit 4\n", 0755);
  EXPECT_REFUSED(create_begin(request("binary-v2://" + path)), unknown,
                 "failed to create init process I/O: the logger " + path +
                     " did not call ready: it exited with status 4");
  const Lines called = runtime.calls();
  EXPECT_EQ(std::count(called.begin(), called.end(), "create c1"), 0) << "no container was made";
  EXPECT_EQ(sink.history(), Lines());
  create("c1");
  remove("c1");
}

TEST_F(TaskLogger, ThatIsNotAllowedFailsCreateAndTheStartOfAnExec) {
  options.stdio.allows_logger = [this](const std::string& path) {
    return path == directory / "logger-ok";
  };
  const std::string forbidden = "binary://" + (directory / "other");
  const std::string text = "failed to create init process I/O: the logger " +
                           (directory / "other") +
                           " is not in binary_logger.allow: permission denied";
  EXPECT_REFUSED(create_begin(request(forbidden)), permission_denied, text);
  run_with(logger("ok"), "exec sleep 60");
  end(exec_with("e1", forbidden, "true"));
  auto waiting = wait_begin("c1", "e1");
  EXPECT_REFUSED(start_begin("c1", "e1"), permission_denied, text);
  EXPECT_EQ(end(waiting).exit_status(), 0u) << "the Wait returns";
  remove("c1", "e1");
  end_container("c1");
}

TEST_F(TaskLogger, ThatIsNeverReadyIsCancelledWithItsClient) {
  const std::string path = directory / "hangs";
  write_file(path, "#!/bin/sh\nexec /bin/sleep 60\n", 0755);
  auto other = another_client();
  auto creating = create_begin(request("binary://" + path), other.get());
  until([] { return !own_children().empty(); });
  other->close();
  const std::uint64_t began = loop.now();
  until([] { return own_children().empty(); });
  EXPECT_LE(loop.now() - began, 10000u) << "it would have thirty seconds";
  EXPECT_EQ(refusal_of(creating).code(), Code::unavailable);
  until([&] { return written("c1/address") != "no file"; });
}

TEST_F(TaskLogger, DrainTimeoutIsTheConfiguredOne) {
  options.stdio.drain_timeout = 200ms;
  run("c1");
  check(::mkfifo((directory / "out").c_str(), 0600), "mkfifo");
  end(exec_with("e1", directory / "out", "sleep 30 & exit 2"));
  start("c1", "e1");
  wait("c1", "e1");
  const std::uint64_t began = loop.now();
  remove("c1", "e1");
  EXPECT_LE(loop.now() - began, 2000u);
  end_container("c1");
}

}  // namespace
}  // namespace thinshim::test
