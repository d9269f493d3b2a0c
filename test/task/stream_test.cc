// SPDX-License-Identifier: Apache-2.0
// ResizePty, CloseIO and Delete, as far as they concern streams. test/stdio tests the transfer of
// bytes.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class Stream : public TaskTest {
 protected:
  Stream() {
    for (const char* name : {"in", "out", "err"})
      check(::mkfifo((directory / name).c_str(), 0600), "mkfifo");
  }
  void begin_exec(const std::string& id, const std::string& shell, const std::string& streams) {
    api::ExecProcessRequest request;
    request.set_id("c1");
    request.set_exec_id(id);
    if (streams.find('i') != std::string::npos) request.set_stdin(directory / "in");
    if (streams.find('o') != std::string::npos) request.set_stdout(directory / "out");
    if (streams.find('e') != std::string::npos) request.set_stderr(directory / "err");
    request.mutable_spec()->set_value("{\"args\":[\"" + shell + "\"]}");
    call<Empty>("Exec", request);
  }
  Fd reader(const std::string& name) { return open_file(directory / name, O_RDONLY | O_NONBLOCK); }
  // The client reads slowly meanwhile, so that the exit is not published yet.
  void until_dead(pid_t process, const Fd& fd) {
    char byte;
    until([&] { return ::read(fd.get(), &byte, 1) == 1 && ::kill(process, 0) != 0; });
  }
  int milliseconds_since(std::uint64_t began) const { return static_cast<int>(loop.now() - began); }
  // Reads to the end of file.
  std::string all_of(const Fd& fd) {
    std::string text;
    bool ended = false;
    until([&] {
      char chunk[4096];
      ssize_t n = ::read(fd.get(), chunk, sizeof chunk);
      if (n > 0) text.append(chunk, static_cast<std::size_t>(n));
      return ended = n == 0;
    });
    return text;
  }
};

// The process that the runtime gets.
class ExecsProcess : public Stream {
 protected:
  std::string given(const std::string& process, bool terminal, bool resized) {
    runtime.before("exec",
                   "cat $process > " + (directory / "given") + "; " + FakeRuntime::fail("enough"));
    api::ExecProcessRequest request;
    request.set_id("c1");
    request.set_exec_id("e1");
    request.set_terminal(terminal);
    request.mutable_spec()->set_value(process);
    call<Empty>("Exec", request);
    if (resized) end(resize_begin("c1", "e1", 132, 43));
    EXPECT_REFUSED(start_begin("c1", "e1"), unknown, "OCI runtime exec failed: enough");
    remove("c1", "e1");
    return read_file(directory / "given").value_or("");
  }
};

TEST_F(ExecsProcess, LeavesOutWhatSaysNothing) {
  run("c1");
  EXPECT_EQ(given(R"({"args":["a",""],"apparmorProfile":"","env":[],"capabilities":null,)"
                  R"("selinuxLabel":"x","user":{"uid":0,"gid":0,"username":""},"cwd":"/"})",
                  false, false),
            R"({"args":["a",""],"selinuxLabel":"x","user":{"uid":0,"gid":0},"cwd":"/",)"
            R"("terminal":false})");
  end_container("c1");
}

TEST_F(ExecsProcess, HasTheSizeThatItsTerminalWasGivenBeforeTheStart) {
  run("c1");
  const std::string process = R"({"args":["a"],"consoleSize":{"height":24,"width":80}})";
  EXPECT_EQ(given(process, true, true),
            R"({"args":["a"],"terminal":true,"consoleSize":{"height":43,"width":132}})");
  EXPECT_EQ(given(process, true, false),
            R"({"args":["a"],"consoleSize":{"height":24,"width":80},"terminal":true})");
  EXPECT_EQ(given(R"({"args":["a"]})", false, true), R"({"args":["a"],"terminal":false})");
  end_container("c1");
}

TEST_F(Stream, OfInputEndsWithCloseIOAndNotBefore) {
  run("c1");
  begin_exec("e1", "cat; exit 3", "io");
  Fd out = reader("out");
  start("c1", "e1");
  {
    Fd in = open_file(directory / "in", O_WRONLY);
    ASSERT_EQ(::write(in.get(), "one\n", 4), 4);
  }  // a client that closes the fifo does not end the input
  pass(50ms);
  EXPECT_EQ(state("c1", "e1").status(), types::RUNNING);
  Fd in = open_file(directory / "in", O_WRONLY);
  ASSERT_EQ(::write(in.get(), "two\n", 4), 4);
  in.reset();
  end(close_begin("c1", "e1"));
  EXPECT_EQ(wait("c1", "e1"), 3u);
  EXPECT_EQ(all_of(out), "one\ntwo\n");
  end(close_begin("c1", "e1")) /* once more is no failure */;
  remove("c1", "e1");
  end_container("c1");
}

// A client whose input has ended queries its process to close its stdin, and must find it.
TEST_F(Stream, OfInputIsOpenedWhenTheProcessIsThere) {
  make_bundle("c1");
  runtime.set_program("c1", "cat; exit 3");
  runtime.before("create", runtime.wait_for("create"));
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdin(directory / "in");
  request.set_stdout(directory / "out");
  Fd out = reader("out");
  auto creating = create_begin(request);
  until_called("create c1");
  EXPECT_FALSE(try_open(directory / "in", O_WRONLY | O_NONBLOCK)) << "no process reads";
  EXPECT_EQ(errno, ENXIO);
  runtime.open("create");
  end(creating);
  {
    Fd in = open_file(directory / "in", O_WRONLY | O_NONBLOCK);
    ASSERT_EQ(::write(in.get(), "hi\n", 3), 3);
  }
  end(close_begin("c1"));
  start("c1");
  EXPECT_EQ(wait("c1"), 3u);
  EXPECT_EQ(all_of(out), "hi\n");
  remove("c1");
}

TEST_F(Stream, OfInputThatIsClosedBeforeTheStartEndsAtOnce) {
  run("c1");
  begin_exec("e1", "cat; exit 3", "io");
  Fd out = reader("out");
  Fd held = open_file(directory / "in", O_RDWR);
  ASSERT_EQ(::write(held.get(), "early\n", 6), 6);
  end(close_begin("c1", "e1"));
  auto starting = start_begin("c1", "e1");
  end(starting);
  held.reset();
  EXPECT_EQ(wait("c1", "e1"), 3u);
  EXPECT_EQ(all_of(out), "early\n");
  remove("c1", "e1");
  end_container("c1");
}

TEST_F(Stream, ThatIsNotThereIsClosedWithoutAnError) {
  run("c1");
  end(close_begin("c1", ""));
  begin_exec("e1", "exec sleep 60", "");
  end(close_begin("c1", "e1"));
  start("c1", "e1");
  end(close_begin("c1", "e1"));
  kill("c1", SIGKILL, "e1");
  wait("c1", "e1");
  end(close_begin("c1", "e1"));
  end_container("c1");
}

TEST_F(Stream, ThatIsNoTerminalIsResizedWithoutAnError) {
  create("c1");
  end(resize_begin("c1", "", 80, 24));
  start("c1");
  end(resize_begin("c1", "", 80, 24));
  begin_exec("e1", "exec sleep 60", "");
  end(resize_begin("c1", "e1", 80, 24));
  start("c1", "e1");
  end(resize_begin("c1", "e1", 80, 24));
  kill("c1", SIGKILL, "e1");
  wait("c1", "e1");
  EXPECT_REFUSED(resize_begin("c1", "e1", 80, 24), unknown, "cannot resize a stopped container");
  kill("c1", SIGKILL);
  wait("c1");
  end(resize_begin("c1", "", 80, 24));
  remove("c1");
}

// Clients close their fifos after the exit event, and read no more.
TEST_F(Stream, HasBeenReadWhenTheExitIsPublished) {
  run("c1");
  begin_exec("e1", "head -c 200000 /dev/zero; exit 2", "o");
  Fd out = reader("out");
  start("c1", "e1");
  auto waiting = wait_begin("c1", "e1");
  std::size_t size = 0;
  until([&] {
    char chunk[4096];
    EXPECT_TRUE(size == 200'000 || !waiting->done.is_set()) << "after " << size << " bytes";
    const ssize_t n = ::read(out.get(), chunk, sizeof chunk);
    if (n > 0) size += static_cast<std::size_t>(n);
    return n == 0;
  });
  EXPECT_EQ(size, 200'000u);
  EXPECT_EQ(end(waiting).exit_status(), 2u);
  end_container("c1");
}

// When the shim exits, it does not wait for the reader.
TEST_F(Stream, ThatIsNotReadDelaysNoExitAtTheShimsEnd) {
  run("c1");
  begin_exec("e1", "head -c 10000 /dev/zero; exit 2", "o");
  Fd out = reader("out");
  const pid_t exec = start("c1", "e1");
  until([&] { return ::kill(exec, 0) != 0; });
  EXPECT_EQ(sink.count(kTopicExit), 0u) << "its reader has some time";
  service_under_test->publish_exits();
  EXPECT_EQ(sink.history().back(), "exit c1 e1 2");
  EXPECT_EQ(wait("c1", "e1"), 2u);
  end_container("c1");
  EXPECT_EQ(sink.count(kTopicExit), 2u) << "each once";
}

TEST_F(Stream, ThatIsNotReadDelaysTheExitOnlyBriefly) {
  run("c1");
  begin_exec("e1", "head -c 10000 /dev/zero; exit 2", "o");
  Fd out = reader("out");
  start("c1", "e1");
  const std::uint64_t began = loop.now();
  EXPECT_EQ(wait("c1", "e1"), 2u);
  EXPECT_LT(milliseconds_since(began), 2000 * slowness());
  end_container("c1");
}

// Clients that kill a running process treat "not found" as its end, and do not wait for the exit
// before they check whether it can be deleted (containerd's client, WithProcessKill).
TEST_F(Stream, ThatIsNotReadDelaysNoExitThatIsForced) {
  run("c1");
  begin_exec("e1", "head -c 10000 /dev/zero; exit 2", "o");
  Fd out = reader("out");
  until_dead(start("c1", "e1"), out);
  EXPECT_REFUSED(kill_begin("c1", SIGKILL, "e1"), not_found, "process already finished: not found");
  EXPECT_EQ(state("c1", "e1").status(), types::STOPPED);
  EXPECT_EQ(remove("c1", "e1").exit_status(), 2u);
  end_container("c1");
}

TEST_F(Stream, ThatIsNotReadDelaysNoExitOfAContainerThatIsForced) {
  runtime.set_program("c1", "head -c 10000 /dev/zero; exit 3");
  make_bundle("c1");
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdout(directory / "out");
  end(create_begin(request));
  begin_exec("e1", "head -c 10000 /dev/zero >&2; exit 2", "e");
  Fd out = reader("out"), err = reader("err");
  const pid_t exec = start("c1", "e1");
  const pid_t init = start("c1");
  until_dead(exec, err);
  until_dead(init, err);
  EXPECT_REFUSED(kill_begin("c1", SIGKILL), not_found, "process already finished: not found");
  EXPECT_EQ(state("c1").status(), types::STOPPED);
  EXPECT_EQ(remove("c1").exit_status(), 3u);
}

TEST_F(Stream, ThatContinuesAfterTheExitDelaysItOnlyBriefly) {
  run("c1");
  begin_exec("e1", "head -c 60000 /dev/zero; (while :; do head -c 60000 /dev/zero; done) & exit 2",
             "o");
  Fd out = reader("out");
  start("c1", "e1");
  auto waiting = wait_begin("c1", "e1");
  const std::uint64_t began = loop.now();
  // The client reads all the time without coming to an end, however rarely the child is scheduled.
  until([&] {
    int there = 0;
    check(::ioctl(out.get(), FIONREAD, &there), "FIONREAD");
    char chunk[4096];
    [[maybe_unused]] ssize_t n = ::read(out.get(), chunk, there > 32768 ? sizeof chunk : 1);
    return waiting->done.is_set() || milliseconds_since(began) > 20'000 * slowness();
  });
  EXPECT_TRUE(waiting->done.is_set());
  EXPECT_GE(milliseconds_since(began), 1000);
  EXPECT_EQ(end(waiting).exit_status(), 2u);
  end_container("c1");
}

TEST_F(Stream, ThatALeftOverChildHoldsDelaysDeleteOnlyBriefly) {
  run("c1");
  // The child has no owner: it exits with the test.
  begin_exec("e1", "echo said; sleep 30 & exit 2", "o");
  Fd out = reader("out");
  const std::uint64_t started = loop.now();
  start("c1", "e1");
  EXPECT_EQ(wait("c1", "e1"), 2u) << "the exit is published although the stream continues";
  const std::uint64_t began = loop.now();
  auto removing = remove_begin("c1", "e1");
  EXPECT_EQ(state("c1", "e1").status(), types::STOPPED) << "other calls are answered";
  EXPECT_EQ(end(removing).exit_status(), 2u);
  EXPECT_GE(milliseconds_since(started), 4000);
  EXPECT_LE(milliseconds_since(began), 6000 * slowness());
  EXPECT_EQ(all_of(out), "said\n") << "and the client's reading ends";
  end_container("c1");
}

TEST_F(Stream, ThatWasHeldLongEnoughAfterTheExitDelaysNoDelete) {
  run("c1");
  begin_exec("e1", "sleep 30 & exit 2", "o");
  Fd out = reader("out");
  start("c1", "e1");
  wait("c1", "e1");
  pass(4100ms);
  const std::uint64_t began = loop.now();
  remove("c1", "e1");
  EXPECT_LE(milliseconds_since(began), 3000) << "no four seconds of its own";
  EXPECT_EQ(all_of(out), "");
  end_container("c1");
}

// A client that deletes without waiting for the end of the output.
TEST_F(Stream, ThatIsStillReadLongAfterTheExitIsWaitedForByDelete) {
  run("c1");
  begin_exec("e1", "head -c 120000 /dev/zero; exit 2", "o");
  Fd out = reader("out");
  start("c1", "e1");
  wait("c1", "e1");
  pass(4100ms);
  auto removing = remove_begin("c1", "e1");
  pass(100ms);
  EXPECT_EQ(all_of(out).size(), 120000u);
  EXPECT_EQ(end(removing).exit_status(), 2u);
  end_container("c1");
}

TEST_F(Stream, ThatDelaysOneDeleteDelaysASecondWithTheSameAnswer) {
  run("c1");
  begin_exec("e1", "cat " + (directory / "in") + " & exit 6", "o");
  Fd out = reader("out");
  Fd gate = open_file(directory / "in", O_RDWR);
  const auto pid = static_cast<std::uint32_t>(start("c1", "e1"));
  wait("c1", "e1");
  auto first = remove_begin("c1", "e1");
  auto second = remove_begin("c1", "e1");
  EXPECT_EQ(state("c1", "e1").status(), types::STOPPED) << "both have been read";
  gate.reset();
  for (const auto& call : {first, second}) {
    EXPECT_EQ(end(call).exit_status(), 6u);
    EXPECT_EQ(end(call).pid(), pid);
  }
  EXPECT_REFUSED(state_begin("c1", "e1"), not_found, "process does not exist e1: not found");
  exec("c1", "e1", "true") /* the id is free */;
  end_container("c1");
}

}  // namespace
}  // namespace thinshim::test
