// SPDX-License-Identifier: Apache-2.0
#include "shim/address.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/error.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::TempDir;

// Each sum is that of `printf %s NAME | sha256sum`; NAME is what Go's filepath.Join makes of the
// three parts (https://pkg.go.dev/path/filepath#Join).
TEST(SocketPath, IsContainerds) {
  struct {
    const char* grpc_address;
    const char* containerd_namespace;
    const char* group;
    const char* sum;
  } table[] = {
      {"/run/containerd/containerd.sock", "default", "c1",
       "d25aa4ef11a84e954e74a5bcff06557d0b6ea8d0c00243896f29826694bbd888"},
      {"/run/k3s/containerd/containerd.sock", "k8s.io", "0123456789abcdef",
       "825fefc6a0eea82b2cef54a792263b734e56dd46a641868f9e055c8a933e8990"},
      // "unix:/run/containerd/containerd.sock/default/c1"
      {"unix:///run/containerd/containerd.sock", "default", "c1",
       "212e06b370187d9e68a753fd584d10b9b78a5d3cddadb4512017ed6cbd73022b"},
      // "/run/c.sock/default/c1"
      {"/run/c.sock", "default", "c1",
       "e2a7f6e0c413fb56148a77b04888e63b42a60b630b0a3bcadb5df8fbb4fdb1d0"},
      {"//run//./x/../c.sock/", "default", "c1",
       "e2a7f6e0c413fb56148a77b04888e63b42a60b630b0a3bcadb5df8fbb4fdb1d0"},
      {"/../run/c.sock/.", "default/", "./c1",
       "e2a7f6e0c413fb56148a77b04888e63b42a60b630b0a3bcadb5df8fbb4fdb1d0"},
      // "default/c1"
      {"", "default", "c1", "3a4ba0ad328f407b30cccb555302fc1c4c73e1d92d16d2583787f9faddf320ca"},
      {"a/..", "default", "c1", "3a4ba0ad328f407b30cccb555302fc1c4c73e1d92d16d2583787f9faddf320ca"},
      // "../b/default/c1"
      {"a/../../b", "default", "c1",
       "002e57d25aa25636b1febaa1256730df6efbb9469ed1d9a013d1eae9684c69f3"},
      // "/c1"
      {"/x", "..", "c1", "3d7e645ece904b90fe3a26da5eacb5a606957574c160b975eeb5a22328367fba"},
      {"/", "", "c1", "3d7e645ece904b90fe3a26da5eacb5a606957574c160b975eeb5a22328367fba"},
      // "/x/default", a group with an empty name
      {"/x", "default", "", "36d0a32292eadfc3b4c23cf1965c0f4dd854150103e79132b1092c821f4d4f5d"},
      // "/x/g"
      {"/x", "", "g", "907c846abb221858ecc78a6256f9c7c194ee564f861ca245c45bca865384505b"},
      // "" and "."
      {"", "", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"", ".", "", "cdb4ee2aea69cc6a83331bbe96dc2caa9a299d21329efb0336fc02a82e1839a8"},
      {"a", "..", "", "cdb4ee2aea69cc6a83331bbe96dc2caa9a299d21329efb0336fc02a82e1839a8"},
  };
  for (const auto& row : table)
    EXPECT_EQ(socket_path("", row.grpc_address, row.containerd_namespace, row.group),
              std::string("/run/containerd/s/") + row.sum)
        << row.grpc_address << " " << row.containerd_namespace << " " << row.group;
}

TEST(SocketPath, LiesInTheDirectoryAskedFor) {
  EXPECT_EQ(socket_path("/run/user/1000/s", "/run/c.sock", "default", "c1"),
            "/run/user/1000/s/e2a7f6e0c413fb56148a77b04888e63b42a60b630b0a3bcadb5df8fbb4fdb1d0");
}

TEST(SocketPath, IsWhatAnAddressSays) {
  EXPECT_EQ(path_of_address("unix:///run/containerd/s/ab"), "/run/containerd/s/ab");
  EXPECT_EQ(address_of_path("/run/containerd/s/ab"), "unix:///run/containerd/s/ab");
  for (const char* other : {"", "/run/x", "vsock://3:1024", "unix:/run/x", "{\"version\":3}"})
    EXPECT_EQ(path_of_address(other), std::nullopt) << other;
}

class Socket : public testing::Test {
 protected:
  static unsigned mode_of(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) < 0 ? 0 : status.st_mode & 07777;
  }
  static Fd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
      return Fd();
    return socket;
  }
  TempDir directory;
  std::string path = directory / "s/socket";
};

TEST_F(Socket, AndItsDirectoryAreAccessibleToTheOwnerOnly) {
  for (mode_t mask : {0, 022, 077}) {
    const mode_t before = ::umask(mask);
    const std::string own = directory / ("s" + std::to_string(mask) + "/t/socket");
    SocketLock lock(own);
    Fd listener = bind_socket(own);
    ::umask(before);
    EXPECT_EQ(mode_of(own), 0600u) << mask;
    EXPECT_EQ(mode_of(own.substr(0, own.rfind('/'))), 0700u) << mask;
  }
}

TEST_F(Socket, DirectoryThatExistsKeepsItsMode) {
  ::mkdir((directory / "s").c_str(), 0711);
  SocketLock lock(path);
  EXPECT_EQ(mode_of(directory / "s"), 0711u);
}

TEST_F(Socket, IsNotBoundIfThePathIsTaken) {
  SocketLock lock(path);
  Fd listener = bind_socket(path);
  int errnum = 0;
  std::string text;
  try {
    bind_socket(path);
  } catch (const Error& error) {
    errnum = error.errnum();
    text = error.what();
  }
  EXPECT_EQ(errnum, EADDRINUSE);
  EXPECT_EQ(text, "listen unix " + path + ": address already in use");
}

TEST_F(Socket, WithTooLongANameIsRefused) {
  for (std::size_t size : {107u, 108u, 4000u}) {
    std::string name = directory.path() + "/";
    name.append(size - name.size(), 'x');
    if (size == 107) {
      EXPECT_NO_THROW(bind_socket(name));
      EXPECT_EQ(probe_socket(name).listener, Liveness::dead);
    } else {
      EXPECT_THROW(bind_socket(name), Error);
      EXPECT_THROW(probe_socket(name), Error);
    }
  }
}

TEST_F(Socket, IsAliveWhileAProcessListens) {
  EXPECT_TRUE(probe_socket(path).is_missing()) << "no directory";
  SocketLock lock(path);
  EXPECT_TRUE(probe_socket(path).is_missing()) << "no socket";
  Fd listener = bind_socket(path);
  EXPECT_EQ(probe_socket(path).listener, Liveness::dead) << "no listener yet";
  ::listen(listener.get(), 8);
  Probe probe = probe_socket(path);
  EXPECT_EQ(probe.listener, Liveness::alive);
  EXPECT_EQ(probe.pid, ::getpid());
  listener.reset();
  EXPECT_EQ(probe_socket(path).listener, Liveness::dead);
  EXPECT_EQ(mode_of(path), 0600u) << "asking removes nothing";
}

// The socket's file may be missing, or a link to a missing file: a listener is alive nevertheless.
TEST_F(Socket, WhoseFileIsMissingMayBeAlive) {
  SocketLock lock(path);
  Fd listener = bind_socket(path);
  ::listen(listener.get(), 8);
  ::unlink(path.c_str());
  const Probe probe = probe_socket(path);
  EXPECT_EQ(probe.listener, Liveness::unknown);
  EXPECT_TRUE(probe.is_missing());
  EXPECT_EQ(probe.failure->what(), "connect to " + path + ": no such file or directory");
  EXPECT_EQ(listeners_at(path).size(), 1u);
}

TEST_F(Socket, IsUnknownIfItCannotBeProbed) {
  SocketLock lock(path);
  Fd listener = bind_socket(path);
  ::listen(listener.get(), 8);
  rlimit limit{}, none{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  none.rlim_max = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &none);
  const Probe probe = probe_socket(path);
  EXPECT_THROW(listeners_at(path), Error) << "the table cannot be read";
  EXPECT_THROW(send_to_socket(path, "x"), Error);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(probe.listener, Liveness::unknown);
  EXPECT_FALSE(probe.is_missing());
  EXPECT_EQ(probe.failure->what(), std::string("create unix socket: too many open files"));
}

TEST_F(Socket, HasAsManyListenersAsHoldItsName) {
  path = directory / "s/a socket";
  EXPECT_EQ(listeners_at(path).size(), 0u);
  SocketLock lock(path);
  Fd first = bind_socket(path);
  EXPECT_EQ(listeners_at(path).size(), 0u) << "no listener yet";
  ::listen(first.get(), 8);
  const Fd client = connect_to(path);
  const Fd accepted(::accept(first.get(), nullptr, nullptr));
  EXPECT_EQ(listeners_at(path).size(), 1u) << "a connection is no listener";
  EXPECT_EQ(listeners_at(directory / "s/a").size(), 0u);
  ::unlink(path.c_str());
  Fd second = bind_socket(path);
  ::listen(second.get(), 8);
  EXPECT_EQ(listeners_at(path).size(), 2u);
  first.reset();
  EXPECT_EQ(listeners_at(path).size(), 1u);
  second.reset();
  EXPECT_EQ(listeners_at(path).size(), 0u);
}

TEST_F(Socket, TakesAMessageOrReturnsWhyNot) {
  EXPECT_EQ(send_to_socket(path, "x"), Delivery::lost) << "there is none";
  SocketLock lock(path);
  Fd listener = bind_socket(path);
  EXPECT_EQ(send_to_socket(path, "x"), Delivery::refused) << "no listener yet";
  ::listen(listener.get(), 0);
  EXPECT_EQ(send_to_socket(path, "hello"), Delivery::done);
  const Fd peer(::accept(listener.get(), nullptr, nullptr));
  char text[8] = {};
  EXPECT_EQ(::read(peer.get(), text, sizeof text), 5);
  EXPECT_EQ(std::string(text), "hello");
  std::vector<Fd> waiting;
  while (Fd one = connect_to(path)) waiting.push_back(std::move(one));
  EXPECT_EQ(send_to_socket(path, "x"), Delivery::done)
      << "a shim whose backlog is full is not about to exit";
}

TEST_F(Socket, WithAFullBacklogIsAlive) {
  SocketLock lock(path);
  Fd listener = bind_socket(path);
  ::listen(listener.get(), 0);
  std::vector<Fd> waiting;
  while (Fd peer = connect_to(path)) waiting.push_back(std::move(peer));
  EXPECT_EQ(probe_socket(path).listener, Liveness::alive);
}

// Kills a process that has called listen() and whose child keeps the socket open until it exits.
template <class Keep>
void listen_and_leave(Fd listener, Keep keep) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::listen(listener.get(), 8);
    if (::fork() == 0) keep(listener.get());
    ::_exit(0);
  }
  listener.reset();
  ::waitpid(pid, nullptr, 0);
}

TEST_F(Socket, HeldForAMomentByAChildOfADeadShimIsDead) {
  SocketLock lock(path);
  listen_and_leave(bind_socket(path), [](int listener) {
    pollfd first_look{listener, POLLIN, 0};
    ::poll(&first_look, 1, -1);
  });
  EXPECT_EQ(probe_socket(path).listener, Liveness::dead);
}

// As a stock shim's socket, on which `start` has called listen().
TEST_F(Socket, HeldByAnotherProcessThanItsListenerIsAlive) {
  SocketLock lock(path);
  Pipe kept = make_pipe();
  listen_and_leave(bind_socket(path), [&](int) {
    kept.write.reset();
    char byte;
    [[maybe_unused]] ssize_t n = ::read(kept.read.get(), &byte, 1);
  });
  EXPECT_EQ(probe_socket(path).listener, Liveness::alive);
}

TEST_F(Socket, ThatIsARegularFileIsDead) {
  SocketLock lock(path);
  Fd file = open_file(path, O_WRONLY | O_CREAT, 0600);
  EXPECT_EQ(probe_socket(path).listener, Liveness::dead);
}

using Clock = std::chrono::steady_clock;

TEST_F(Socket, IsLockedForOneAtATime) {
  Pipe ready = make_pipe();
  Pipe go = make_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    SocketLock lock(path);
    char byte = 0;
    [[maybe_unused]] ssize_t n = ::write(ready.write.get(), &byte, 1);
    n = ::read(go.read.get(), &byte, 1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
  const auto began = Clock::now();
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    [[maybe_unused]] ssize_t n = ::write(go.write.get(), &byte, 1);
  });
  SocketLock lock(path);
  EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(100));
  opener.join();
  ::waitpid(child, nullptr, 0);
}

TEST_F(Socket, LockTimesOutWithAnErrorThatNamesThePath) {
  SocketLock lock(path);
  const auto began = Clock::now();
  try {
    SocketLock other(path, std::chrono::milliseconds(50));
    FAIL() << "two have it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::deadline_exceeded);
    EXPECT_EQ(error.what(),
              "lock " + path + ": timed out after 50ms: another start or delete holds it");
  }
  EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(50));
}

TEST_F(Socket, LockDoesNotBlockOtherSockets) {
  const std::chrono::milliseconds never(0);
  SocketLock lock(path);
  for (const char* other : {"socket2", "socke", "Socket", "x"})
    EXPECT_NO_THROW(SocketLock(directory / ("s/" + std::string(other)), never)) << other;
  EXPECT_NO_THROW(SocketLock(directory / "t/socket", never)) << "of another directory";
  EXPECT_THROW(SocketLock(directory / "s/./socket", never), Error) << "the same socket";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory / "s"), {}), 1)
      << "one file for all";
}

TEST_F(Socket, FileIsRemovedByItsOwner) {
  SocketLock(path, std::chrono::milliseconds(0));
  Fd listener = bind_socket(path);
  SocketFile file(listener);
  EXPECT_EQ(file.path(), path);
  file.remove();
  EXPECT_EQ(mode_of(path), 0u);
  file.remove();
}

TEST_F(Socket, FileIsRemovedWithoutWaitingForTheLock) {
  SocketLock lock(path);
  Fd listener = bind_socket(path);
  const auto began = Clock::now();
  SocketFile(listener).remove();
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(3)) << "for the lock it would be four";
  EXPECT_EQ(mode_of(path), 0u);
}

TEST_F(Socket, FileOfALaterShimIsLeftAlone) {
  SocketLock(path, std::chrono::milliseconds(0));
  Fd listener = bind_socket(path);
  SocketFile file(listener);
  ::unlink(path.c_str());
  Fd later = bind_socket(path);
  file.remove();
  EXPECT_EQ(mode_of(path), 0600u);
  // Nor does it create one if all is gone.
  std::filesystem::remove_all(directory / "s");
  file.remove();
  EXPECT_FALSE(std::filesystem::exists(directory / "s"));
}

}  // namespace
}  // namespace thinshim
