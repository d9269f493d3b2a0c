// SPDX-License-Identifier: Apache-2.0
// Whatever hangs in one container, calls for the others of the same shim are answered at once.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "reliability/answers.h"
#include "reliability/fast_shim.h"
#include "reliability/scale.h"
#include "runc_options.pb.h"
#include "runtime_options.pb.h"
#include "support/fake_runtime.h"
#include "support/freezable_disk.h"
#include "support/hung_file_system.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

// "c1" is the neighbour, with the fast runtime; "bad" is the container that hangs or fails.
class Neighbours : public FastShimTest {
 protected:
  void SetUp() override {
    FastShimTest::SetUp();
    shim_ = run_fast("c1");
    exec(*shim_, "c1", "e1", {"sleep"});
    shim_->start("c1", "e1");
    config_.args = {"sleep"};
  }
  void end_neighbour() {
    shim_->kill("c1", SIGKILL, "e1");
    EXPECT_EQ(shim_->wait("c1", "e1"), 137u);
    shim_->remove("c1", "e1");
    shim_->end_container("c1");
    end_shim(*shim_);
  }

  api::CreateTaskRequest bad_request(const std::string& binary) {
    make_bundle("bad", config_);
    return fast_request("bad", binary);
  }
  api::CreateTaskRequest bad_request() { return bad_request(runtime_.binary()); }

  // Runs calls for the neighbour, with whole lives of execs, for a while and until `meanwhile`
  // returns true.
  void expect_answers(
      const std::string& while_what, const std::function<bool()>& meanwhile = [] { return true; }) {
    Answers answers;
    const auto end = Clock::now() + Duration(scaled(150, 2000));
    bool enough = false;
    do {
      answers.time("State", [&] { EXPECT_EQ(shim_->state("c1").status(), types::RUNNING); });
      answers.time("Kill", [&] { shim_->kill("c1", SIGCONT, "e1"); });
      answers.time("Connect", [&] { shim_->end(shim_->connect_begin("c1")); });
      const std::string id = "n" + std::to_string(++execs_);
      answers.time("Exec", [&] { exec(*shim_, "c1", id, {"exit", "3"}); });
      answers.time("Start", [&] { shim_->start("c1", id); });
      answers.time("Wait", [&] { EXPECT_EQ(shim_->wait("c1", id), 3u); });
      answers.time("Delete", [&] { shim_->remove("c1", id); });
      shim_->pass(1ms);
      enough = meanwhile();
    } while ((Clock::now() < end || !enough) && !HasFailure());
    answers.report(while_what);
  }

  // The same while Create of the bad container fails again and again with this error.
  void expect_answers_while_create_fails(const std::string& why, const std::string& binary,
                                         const std::string& says) {
    const api::CreateTaskRequest request = bad_request(binary);
    int failures = 0;
    auto creating = shim_->create_begin(request);
    expect_answers(why, [&] {
      if (creating->done.is_set()) {
        const Error error = shim_->refusal_of(creating);
        EXPECT_TRUE(contains(error, says)) << error.what();
        EXPECT_REFUSED_BY(*shim_, shim_->state_begin("bad"), not_found,
                          "container not created: not found");
        ++failures;
        creating = shim_->create_begin(request);
      }
      return failures > 0;
    });
    shim_->refusal_of(creating);
    figure("times that Create failed because " + why, failures);
  }

  // The same during a Create that hangs on the file of `hung`, and then fails with its path.
  void expect_answers_while_create_hangs(const std::string& why,
                                         const api::CreateTaskRequest& request,
                                         HungFileSystem& hung, const std::string& error) {
    auto creating = shim_->create_begin(request);
    EXPECT_TRUE(hung.is_waited_for());
    expect_answers(why);
    expect_unanswered(creating);
    hung.end();
    EXPECT_TRUE(contains(shim_->refusal_of(creating), error + hung.file()));
    end_neighbour();
  }

  template <class Response>
  void expect_unanswered(const CallPtr<Response>& call) {
    EXPECT_FALSE(call->done.is_set()) << "it was to hang";
  }

  int execs_ = 0;
  FakeRuntime runtime_;
  ContainerConfig config_;
  std::unique_ptr<TaskCalls> shim_;
};

TEST_F(Neighbours, OfARuntimeThatDoesNotReturnAreAnswered) {
  for (const std::string verb : {"create", "start", "exec", "kill", "delete"})
    runtime_.before(verb, runtime_.wait_for(verb));
  auto creating = shim_->create_begin(bad_request());
  expect_answers("runc create hangs");
  expect_unanswered(creating);
  runtime_.open("create");
  shim_->end(creating);
  auto starting = shim_->start_begin("bad");
  expect_answers("runc start hangs");
  expect_unanswered(starting);
  runtime_.open("start");
  shim_->end(starting);
  exec(*shim_, "bad", "e1", {"exec sleep 60"});
  auto exec_starting = shim_->start_begin("bad", "e1");
  expect_answers("runc exec hangs");
  expect_unanswered(exec_starting);
  runtime_.open("exec");
  shim_->end(exec_starting);
  auto killing = shim_->kill_begin("bad", SIGKILL, "", true);
  expect_answers("runc kill hangs");
  expect_unanswered(killing);
  runtime_.open("kill");
  shim_->end(killing);
  EXPECT_EQ(shim_->wait("bad"), 137u);
  auto removing = shim_->remove_begin("bad");
  expect_answers("runc delete hangs");
  expect_unanswered(removing);
  runtime_.open("delete");
  shim_->end(removing);
  end_neighbour();
}

TEST_F(Neighbours, OfARuntimeThatFailsAreAnswered) {
  const struct {
    const char* name;
    const char* shell;
    const char* says;
  } ways[] = {
      {"runc returns before it writes its pid file", "pid_file=/dev/null", "pid"},
      {"runc writes a megabyte to stderr", "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1",
       "exit status 1"},
      {"runc is killed half way", "kill -9 $$", "signal 9"},
  };
  for (const auto& way : ways) {
    SCOPED_TRACE(way.name);
    runtime_.before("create", way.shell);
    expect_answers_while_create_fails(way.name, runtime_.binary(), way.says);
  }
  expect_answers_while_create_fails("runc is not there", "/no/such/runc", "/no/such/runc");
  end_neighbour();
}

TEST_F(Neighbours, OfOutputThatIsNotReadAreAnswered) {
  config_.args = {"write", "100000"};
  api::CreateTaskRequest request = bad_request(fast_runtime());
  request.set_stdout(make_fifo("out"));  // no client opens it
  shim_->end(shim_->create_begin(request));
  shim_->start("bad");
  expect_answers("a container's stdout has no reader");
  EXPECT_EQ(shim_->state("bad").status(), types::RUNNING) << "it waits for its reader";
  shim_->end_container("bad");
  end_neighbour();
}

TEST_F(Neighbours, OfInputThatIsNotOpenedAreAnswered) {
  config_.args = {"/bin/sh", "-c", "read line"};
  api::CreateTaskRequest request = bad_request(fast_runtime());
  request.set_stdin(make_fifo("in"));
  shim_->end(shim_->create_begin(request));
  shim_->start("bad");
  expect_answers("a container's stdin has no writer");
  EXPECT_EQ(shim_->state("bad").status(), types::RUNNING) << "it waits for its input";
  shim_->end_container("bad");
  end_neighbour();
}

// Each SIGUSR1 makes the shim write a line.
TEST_F(Neighbours, OfALogThatIsNotReadAreAnswered) {
  const Fd log = open_file(bundle("c1") / "log", O_WRONLY | O_NONBLOCK);
  const std::string line(4096, 'x');
  while (::write(log.get(), line.data(), line.size()) > 0) continue;
  const pid_t pid = only_shim().pid;
  expect_answers("the log is not read", [&] { return ::kill(pid, SIGUSR1) == 0; });
  stop_events();  // which logs a line, for which there is no room
  exec(*shim_, "c1", "first", {"exit", "0"});
  const std::size_t events = forwarded_.size();
  serve_events();
  shim_->until([&] { return forwarded_.size() > events; });
  // The report waits for room, and other lines are counted.
  shim_->until([&] { return log_of("c1").find("\"containers\"") != std::string::npos; });
  stop_events();
  exec(*shim_, "c1", "second", {"exit", "0"});
  shim_->until([&] { return log_of("c1").find("log lines were lost") != std::string::npos; });
  serve_events();
  for (const char* id : {"first", "second"}) shim_->remove("c1", id);
  end_neighbour();
}

TEST_F(Neighbours, OfALoggerThatDoesNotReadAreAnswered) {
  const std::string logger = directory_ / "logger";
  write_file(logger, "#!/bin/sh\nexec 5>&-\nexec sleep 60\n", 0755);
  config_.args = {"write", "100000"};
  api::CreateTaskRequest request = bad_request(fast_runtime());
  request.set_stdout("binary://" + logger);
  shim_->end(shim_->create_begin(request));
  shim_->start("bad");
  expect_answers("a logger does not read");
  EXPECT_EQ(shim_->state("bad").status(), types::RUNNING) << "it waits for its logger";
  shim_->kill("bad", SIGKILL);
  EXPECT_EQ(shim_->wait("bad"), 137u);
  auto removing = shim_->remove_begin("bad");
  expect_answers("a logger does not exit");
  expect_unanswered(removing);
  for (const Process& child : children_of(only_shim().pid))
    if (child.name == "sleep") ::kill(child.pid, SIGKILL);
  shim_->end(removing);
  end_neighbour();
}

// A disk whose image lies on another disk, which is frozen: the unmount has to write to it.
TEST_F(Neighbours, OfASlowUnmountAreAnswered) {
  FreezableDisk outer(directory_ / "outer.image", directory_ / "outer");
  const std::string image = directory_ / "outer" / "inner.image";
  {
    FreezableDisk inner(image, directory_ / "inner");
  }  // writes the file system
  api::CreateTaskRequest request = bad_request(fast_runtime());
  containerd::types::Mount* const mount = request.add_rootfs();
  mount->set_type("ext4");
  mount->set_source(image);
  mount->add_options("loop");
  shim_->end(shim_->create_begin(request));
  shim_->start("bad");
  const std::string file = bundle("bad") / "rootfs" / "file";
  write_file(file, std::string(1 << 20, 'x'), 0644);
  outer.freeze();
  shim_->kill("bad", SIGKILL);
  EXPECT_EQ(shim_->wait("bad"), 137u);
  auto removing = shim_->remove_begin("bad");
  expect_answers("an unmount hangs");
  expect_unanswered(removing);
  auto again = shim_->remove_begin("bad");
  outer.thaw();
  EXPECT_EQ(shim_->end(removing).exit_status(), 137u);
  EXPECT_EQ(shim_->end(again).exit_status(), 137u) << "both are one";
  end_neighbour();
}

TEST_F(Neighbours, OfALoggerOnAFileSystemThatHangsAreAnswered) {
  HungFileSystem hung(directory_ / "hung");
  api::CreateTaskRequest request = bad_request(fast_runtime());
  request.set_stdout("binary://" + hung.file());
  expect_answers_while_create_hangs("execve of a logger hangs", request, hung, "fork/exec ");
}

TEST_F(Neighbours, OfARuntimeOnAFileSystemThatHangsAreAnswered) {
  HungFileSystem hung(directory_ / "hung");
  expect_answers_while_create_hangs("execve of the runtime hangs", bad_request(hung.file()), hung,
                                    "fork/exec ");
}

TEST_F(Neighbours, OfAConfigurationOnAFileSystemThatHangsAreAnswered) {
  HungFileSystem hung(directory_ / "hung");
  api::CreateTaskRequest request = bad_request();
  runtimeoptions::v1::Options options;
  options.set_config_path(hung.file());
  set_options(request, options);
  expect_answers_while_create_hangs("a configuration file hangs", request, hung, "");
}

// The first directory in PATH is on a hung file system.
class NeighboursWithPath : public Neighbours {
 protected:
  void SetUp() override {
    directories_ = ::getenv("PATH");
    ::setenv("PATH", ((directory_ / "hung").string() + ":" + directories_).c_str(), 1);
    Neighbours::SetUp();
  }
  void TearDown() override {
    ::setenv("PATH", directories_.c_str(), 1);
    Neighbours::TearDown();
  }
  std::string directories_;
};

TEST_F(NeighboursWithPath, OnAFileSystemThatHangsAreAnswered) {
  HungFileSystem hung(directory_ / "hung");
  auto creating = shim_->create_begin(bad_request("no-such-runtime"));
  EXPECT_TRUE(hung.is_waited_for());
  expect_answers("a search in PATH hangs");
  expect_unanswered(creating);
  hung.end();
  EXPECT_TRUE(contains(shim_->refusal_of(creating), "executable file not found in $PATH"));
  end_neighbour();
}

TEST_F(Neighbours, OfAProcessThatCannotBeKilledAreAnswered) {
  FreezableDisk disk(directory_ / "disk.image", directory_ / "disk");
  config_.args = {"/bin/sh", "-c",
                  "echo begun >&2; exec echo x >" + (directory_ / "disk/file").string()};
  api::CreateTaskRequest request = bad_request(fast_runtime());
  const fs::path err = make_fifo("err");
  const Fd reader = open_file(err, O_RDONLY | O_NONBLOCK);
  request.set_stderr(err);
  shim_->end(shim_->create_begin(request));
  disk.freeze();
  const pid_t pid = shim_->start("bad");
  shim_->until([&] { return process(pid).state == 'D'; });
  shim_->kill("bad", SIGKILL);
  auto waiting = shim_->wait_begin("bad");
  expect_answers("a container cannot be killed");
  expect_unanswered(waiting);
  EXPECT_EQ(shim_->state("bad").status(), types::RUNNING);
  EXPECT_TRUE(contains(shim_->refusal_of(shim_->remove_begin("bad")), "running"));
  disk.thaw();
  EXPECT_EQ(shim_->end(waiting).exit_status(), 137u);
  shim_->remove("bad");
  end_neighbour();
}

}  // namespace
}  // namespace thinshim::test
