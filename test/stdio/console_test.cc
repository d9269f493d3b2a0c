// SPDX-License-Identifier: Apache-2.0
#include "stdio/console.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <filesystem>
#include <optional>

#include "fake_runtime.h"
#include "stdio_fixture.h"

namespace thinshim {
namespace {

using namespace test;

class ConsoleSocketTest : public StdioTest {
 protected:
  std::string failure(Task<Fd> receiving) {
    try {
      run(std::move(receiving));
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }

  // The number of files that a child leaves in the bundle if a system call fails.
  int left_where_it_cannot(unsigned call) {
    pid_t pid = check(::fork(), "fork");
    if (pid == 0) {
      sock_filter rules[] = {
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      };
      sock_fprog program{std::size(rules), rules};
      if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
          ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        ::_exit(100);
      try {
        ConsoleSocket socket(loop_, dir_.path());
      } catch (const Error&) {
        std::filesystem::directory_iterator entries(dir_.path());
        ::_exit(static_cast<int>(std::distance(begin(entries), end(entries))));
      }
      ::_exit(101);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST_F(ConsoleSocketTest, ReceivesATerminalSentBeforeReceive) {
  ConsoleSocket socket(loop_, dir_.path());
  TerminalPair pair = hand_over_terminal(socket.path());
  Fd master = run(socket.receive(kTestTimeout));
  EXPECT_TRUE(::isatty(master.get()));
  EXPECT_TRUE(::fcntl(master.get(), F_GETFD) & FD_CLOEXEC);
}

TEST_F(ConsoleSocketTest, ReceivesATerminalSentLater) {
  ConsoleSocket socket(loop_, dir_.path());
  TerminalProcess process(socket.path(), "exit");
  Fd master = run(socket.receive(kTestTimeout));
  EXPECT_TRUE(::isatty(master.get()));
}

// A runtime with fewer capabilities may not access /proc/PID/fd.
TEST_F(ConsoleSocketTest, HasTheBundlesPathIfThatIsShortEnough) {
  ConsoleSocket socket(loop_, dir_.path());
  EXPECT_EQ(directory_of(socket.path()), dir_.path());
}

TEST_F(ConsoleSocketTest, LivesInABundleWithALongPath) {
  std::string bundle = dir_.path();
  for (int i = 0; i < 4; ++i) bundle = join_path(bundle, std::string(60, 'b'));
  make_directories(bundle, 0700);
  ConsoleSocket socket(loop_, bundle);
  EXPECT_LT(socket.path().size(), 100u);
  TerminalPair pair = hand_over_terminal(socket.path());
  EXPECT_TRUE(run(socket.receive(kTestTimeout)));
}

TEST_F(ConsoleSocketTest, IsAccessibleToItsOwnerOnlyAndRemovedByTheDestructor) {
  std::optional<ConsoleSocket> socket(std::in_place, loop_, dir_.path());
  std::string path = dir_ / std::string(base_name(socket->path()));
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  socket.reset();
  EXPECT_NE(::stat(path.c_str(), &status), 0);
}

TEST_F(ConsoleSocketTest, SocketsOfOneBundleAreDistinct) {
  ConsoleSocket first(loop_, dir_.path()), second(loop_, dir_.path());
  TerminalPair one = hand_over_terminal(second.path());
  EXPECT_EQ(failure(first.receive(20ms)),
            "failed to retrieve console master: timed out after 20ms");
  EXPECT_TRUE(run(second.receive(kTestTimeout)));
}

TEST_F(ConsoleSocketTest, ReportsWhyItCannotBeMade) {
  try {
    ConsoleSocket socket(loop_, dir_ / "nowhere");
    FAIL();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find("failed to create OCI runtime console socket: bind " + dir_ / "nowhere"),
              0u)
        << message;
    EXPECT_TRUE(message.ends_with(": no such file or directory")) << message;
  }
}

TEST_F(ConsoleSocketTest, LeavesNoFileIfItCannotBeMade) {
  EXPECT_EQ(left_where_it_cannot(SYS_bind), 0);
  EXPECT_EQ(left_where_it_cannot(SYS_chmod), 0);
  EXPECT_EQ(left_where_it_cannot(SYS_listen), 0);
}

TEST_F(ConsoleSocketTest, TimesOutIfTheRuntimeSendsNothing) {
  ConsoleSocket socket(loop_, dir_.path());
  Fd silent = connect_to(socket.path());
  EXPECT_EQ(failure(socket.receive(20ms)),
            "failed to retrieve console master: timed out after 20ms");
}

TEST_F(ConsoleSocketTest, RefusesAMessageWithoutADescriptor) {
  ConsoleSocket socket(loop_, dir_.path());
  Fd runtime = connect_to(socket.path());
  send_fds(runtime, "/dev/pts/0", {});
  EXPECT_NE(failure(socket.receive(kTestTimeout)).find("no descriptor"), std::string::npos);
}

TEST_F(ConsoleSocketTest, FailsIfTheRuntimeClosesTheConnection) {
  ConsoleSocket socket(loop_, dir_.path());
  connect_to(socket.path());
  EXPECT_NE(failure(socket.receive(kTestTimeout)).find("no descriptor"), std::string::npos);
}

TEST_F(ConsoleSocketTest, LeaksNoDescriptorIfTheRuntimeSendsTwo) {
  ConsoleSocket socket(loop_, dir_.path());
  {
    Fd runtime = connect_to(socket.path());
    Pipe pipe = make_pipe();
    send_fds(runtime, "x", {pipe.read.get(), pipe.write.get()});
  }
  failure(socket.receive(kTestTimeout));
}

TEST_F(ConsoleSocketTest, CancellingTheWaitLeaksNothing) {
  ConsoleSocket socket(loop_, dir_.path());
  {
    Task<Fd> receiving = socket.receive(kTestTimeout);
    EXPECT_FALSE(receiving.start(nullptr));
    settle();
  }
  Fd silent = connect_to(socket.path());
  Task<Fd> receiving = socket.receive(kTestTimeout);
  EXPECT_FALSE(receiving.start(nullptr));
  settle();
}

TEST_F(ConsoleSocketTest, ResizesTerminalsOnly) {
  TerminalPair pair = make_terminal();
  resize_terminal(pair.master.get(), 132, 43);
  winsize size{};
  ASSERT_EQ(::ioctl(pair.slave.get(), TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_col, 132);
  EXPECT_EQ(size.ws_row, 43);
  Pipe pipe = make_pipe();
  EXPECT_THROW(resize_terminal(pipe.read.get(), 80, 24), Error);
}

TEST_F(ConsoleSocketTest, AnOpenSlaveKeepsTheMasterFromEIO) {
  TerminalPair pair = make_terminal();
  set_nonblocking(pair.master.get(), true);
  Fd peer = open_terminal_peer(pair.master.get());
  pair.slave.reset();
  char byte;
  EXPECT_EQ(::read(pair.master.get(), &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
  Pipe pipe = make_pipe();
  EXPECT_THROW(open_terminal_peer(pipe.read.get()), Error);
}

TEST_F(ConsoleSocketTest, EndOfInputFollowsTheTerminalsSettings) {
  TerminalPair pair = make_terminal();
  EXPECT_EQ(end_of_input(pair.master.get()), "\x04\x04");
  termios settings{};
  ASSERT_EQ(::tcgetattr(pair.slave.get(), &settings), 0);
  settings.c_cc[VEOF] = 'q';
  ASSERT_EQ(::tcsetattr(pair.slave.get(), TCSANOW, &settings), 0);
  EXPECT_EQ(end_of_input(pair.master.get()), "qq");
}

}  // namespace
}  // namespace thinshim
