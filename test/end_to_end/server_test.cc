// SPDX-License-Identifier: Apache-2.0
// The server as a process: access to its socket, its log, its exit.
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>

#include "runc_options.pb.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class ServerProcess : public ShimTest {
 protected:
  std::string socket() const {
    return read(bundle("c1") / "address").substr(std::strlen("unix://"));
  }
  static int connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    ::close(fd);
    return -1;
  }
  // Runs `work` as another user, in a fork; returns its result.
  static int as(uid_t uid, gid_t gid, const std::function<int()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::setgroups(0, nullptr) < 0 || ::setresgid(gid, gid, gid) < 0 ||
          ::setresuid(uid, uid, uid) < 0)
        ::_exit(100);
      ::_exit(work());
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
  }
  SubprocessOptions surroundings_with_idle_timeout(const std::string& timeout) const {
    const std::string path = directory_ / "config.yaml";
    std::ofstream(path) << "version: 1\nplugins: {io.containerd.ttrpc.v1.task: {idle_timeout: " +
                               timeout + "}}\n";
    SubprocessOptions options = surroundings("c1");
    options.environment.push_back("THINSHIM_CONFIG=" + path);
    return options;
  }
  // Runs container c1 in a shim with these surroundings.
  std::unique_ptr<TaskCalls> run_in_shim(const SubprocessOptions& options, pid_t& pid) {
    EXPECT_TRUE(test::run(command("c1", {"start"}), options).ok());
    auto shim = connect("unix://" + socket());
    pid = run(*shim, "c1");
    return shim;
  }
  void until_gone(TaskCalls& shim, pid_t pid) {
    shim.until([&] { return process(pid).parent < 0; });
  }
};

TEST_F(ServerProcess, RejectsPeersOfAnotherUserOrGroup) {
  auto shim = start_shim("c1");
  const std::string path = socket();
  struct {
    uid_t uid;
    gid_t gid;
  } others[] = {{65534, 65534}, {65534, 0}, {0, 65534}};
  for (const auto& other : others) {
    // The directory's mode alone keeps other users out; the server does not rely on it.
    const int result = as(other.uid, other.gid, [&] {
      const int fd = connect_to(path);
      return fd < 0 && errno == EACCES ? 1 : 0;
    });
    EXPECT_EQ(result, other.uid == 0 ? 0 : 1);
  }
  fs::permissions("/run/containerd", fs::perms::all);
  fs::permissions("/run/containerd/s", fs::perms::all);
  fs::permissions(path, fs::perms::all);
  for (const auto& other : others) {
    const int result = as(other.uid, other.gid, [&] {
      const int fd = connect_to(path);
      if (fd < 0) return 1;
      // The server closes the connection before a byte is read or written.
      char byte = 0;
      timeval limit = {10, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const ssize_t n = ::read(fd, &byte, 1);
      return n == 0 || (n < 0 && errno == ECONNRESET) ? 2 : 3;
    });
    EXPECT_EQ(result, 2) << other.uid << ":" << other.gid;
  }
  fs::permissions("/run/containerd/s", fs::perms::owner_all);
  fs::permissions("/run/containerd", static_cast<fs::perms>(0711));
  EXPECT_NE(shim->end(shim->connect_begin("")).shim_pid(), 0u);
  end_shim(*shim);
}

TEST_F(ServerProcess, RefusesWhatIsTooLargeAndLivesOn) {
  auto shim = start_shim("c1");
  api::StateRequest request;
  request.set_id(std::string(5u << 20, 'x'));
  EXPECT_EQ(shim->refusal_of(shim->begin<api::StateResponse>("State", request)).code(),
            Code::resource_exhausted)
      << "this client refuses by itself";
  // A client that sends it anyway: a header of 5 MiB with 5 MiB of data.
  const int fd = connect_to(socket());
  const unsigned char header[] = {0x00, 0x50, 0, 0, 0, 0, 0, 1, 1, 0};
  std::string message(reinterpret_cast<const char*>(header), sizeof header);
  message += std::string(5u << 20, 'x');
  ASSERT_EQ(::send(fd, message.data(), message.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(message.size()));
  char answer[256];
  const ssize_t size = ::read(fd, answer, sizeof answer);
  ASSERT_GT(size, 10);
  EXPECT_NE(std::string(answer, static_cast<std::size_t>(size))
                .find("message length 5242880 exceed maximum message size of 4194304"),
            std::string::npos);
  ::close(fd);
  EXPECT_NE(shim->end(shim->connect_begin("")).shim_pid(), 0u);
  end_shim(*shim);
}

TEST_F(ServerProcess, SurvivesHostilePeers) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  std::vector<int> peers;
  for (int i = 0; i < 50; ++i) {
    const int fd = connect_to(socket());
    ASSERT_GE(fd, 0);
    const std::string noise(static_cast<std::size_t>(i * 7), static_cast<char>(i * 5));
    [[maybe_unused]] ssize_t n = ::send(fd, noise.data(), noise.size(), MSG_NOSIGNAL);
    if (i % 3 == 0) ::shutdown(fd, SHUT_WR);
    if (i % 3 == 1)
      ::close(fd);
    else
      peers.push_back(fd);
  }
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
  for (int fd : peers) ::close(fd);
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_F(ServerProcess, ExitsCleanlyOnASignal) {
  for (int number : {SIGTERM, SIGINT}) {
    auto shim = start_shim("c1");
    const std::string path = socket();
    const pid_t pid = only_shim().pid;
    auto waiting = shim->connect_begin("c1");
    shim->end(waiting);
    ::kill(pid, number);
    until_gone(*shim, pid);
    EXPECT_FALSE(fs::exists(path)) << number;
    shim->until([&] { return !shim->client.connected(); });
  }
}

TEST_F(ServerProcess, LeavesItsContainersRunningWhenItIsTerminated) {
  auto shim = start_shim("c1");
  const pid_t init = run(*shim, "c1");
  auto waiting = shim->wait_begin("c1");
  const pid_t pid = only_shim().pid;
  ::kill(pid, SIGTERM);
  until_gone(*shim, pid);
  shim->until([&] { return waiting->done.is_set(); });
  EXPECT_TRUE(waiting->error.has_value());
  EXPECT_GE(process(init).parent, 0) << "containerd decides what becomes of them";
  EXPECT_EQ(history(), (Lines{"create c1", "start c1"})) << "all events were delivered";
  EXPECT_TRUE(cleanup("c1").ok());
}

// Without containerd the events cannot be delivered: the server exits all the same.
TEST_F(ServerProcess, ExitsAlsoIfItsEventsCannotBeDelivered) {
  make_bundle("c1");
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("TTRPC_ADDRESS=" + (directory_ / "nobody").string());
  const Outcome started = test::run(command("c1", {"start"}), options);
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  run(*shim, "c1");
  shim->end_container("c1");
  const pid_t pid = only_shim().pid;
  const std::uint64_t began = loop_.now();
  shim->shutdown();
  until_gone(*shim, pid);
  EXPECT_LE(static_cast<int>(loop_.now() - began), 10000 * slowness());
  EXPECT_NE(log_of("c1").find("events were not delivered"), std::string::npos);
}

TEST_F(ServerProcess, DeliversTheEventsOfAnOutage) {
  auto shim = start_shim("c1");
  fs::rename(directory_ / "events.sock", directory_ / "away");
  run(*shim, "c1");
  for (const char* id : {"e1", "e2"}) {
    exec(*shim, "c1", id, {"/bin/true"});
    shim->start("c1", id);
    EXPECT_EQ(shim->wait("c1", id), 0u);
    shim->remove("c1", id);
  }
  shim->end_container("c1");
  EXPECT_EQ(history(), Lines());
  fs::rename(directory_ / "away", directory_ / "events.sock");
  shim->until([&] { return history().size() == 10; });
  EXPECT_EQ(history(), (Lines{"create c1", "start c1", "exec-added c1 e1", "exec-started c1 e1",
                              "exit c1 e1 0", "exec-added c1 e2", "exec-started c1 e2",
                              "exit c1 e2 0", "exit c1 137", "delete c1 137"}));
  end_shim(*shim);
}

TEST_F(ServerProcess, LogsItsStateOnSigusr1) {
  auto shim = start_shim("c1");
  const pid_t pid = run(*shim, "c1");
  exec(*shim, "c1", "e1", {"/bin/sleep", "1000"});
  const pid_t exec_pid = shim->start("c1", "e1");
  auto waiting = shim->wait_begin("c1");
  shim->end(shim->connect_begin(""));
  ::kill(only_shim().pid, SIGUSR1);
  std::string line;
  shim->until([&] {
    const std::string log = log_of("c1");
    const std::size_t begin = log.find("{\"pid\":");
    if (begin != std::string::npos) line = log.substr(begin, log.find('\n', begin) - begin);
    return !line.empty();
  });
  const std::regex expected(
      R"(\{"pid":)" + std::to_string(only_shim().pid) + R"(,"namespace":")" + namespace_ +
      R"(","containers":\[\{"init":\{"id":"c1","state":"running","pid":)" + std::to_string(pid) +
      R"(\},"execs":\[\{"id":"e1","state":"running","pid":)" + std::to_string(exec_pid) +
      R"(\}\]\}\],"being_created":0,"clients":1,"requests_in_flight":1,"unsent_bytes":0,)" +
      R"("queued_events":\d+,"descriptors":\d+\})");
  EXPECT_TRUE(std::regex_match(line, expected)) << line;
  shim->end_container("c1");
  end_shim(*shim);
}

// 2,000 execs are more than the log's fifo holds.
TEST_F(ServerProcess, LogsAStateOfAnySizeOnSigusr1) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  for (int i = 0; i < 2000; ++i) exec(*shim, "c1", "e" + std::to_string(i), {"/bin/true"});
  for (const std::size_t begin : {log_of("c1").size(), log_of("c1").size()}) {
    ::kill(only_shim().pid, SIGUSR1);
    std::string report;
    shim->until([&] {
      std::istringstream lines(log_of("c1").substr(begin));
      report.clear();
      for (std::string line; std::getline(lines, line);)
        if (std::isdigit(static_cast<unsigned char>(line[0])))
          report += line.substr(line.find(' ') + 1);
      return report.ends_with('}');
    });
    for (int i = 0; i < 2000; ++i) {
      const std::string exec_id = R"({"id":"e)" + std::to_string(i) + R"(",)";
      EXPECT_NE(report.find(exec_id), std::string::npos) << exec_id;
    }
  }
  shim->end_container("c1");
  end_shim(*shim);
}

// containerd was killed between `start` and Create, or before its Shutdown.
TEST_F(ServerProcess, ExitsWhenIdle) {
  make_bundle("c1");
  const SubprocessOptions options = surroundings_with_idle_timeout("1s");
  EXPECT_TRUE(test::run(command("c1", {"start"}), options).ok());
  EXPECT_TRUE(eventually([&] { return shims_of_namespace(namespace_).empty(); }));
  EXPECT_FALSE(fs::exists(socket()));

  pid_t pid = 0;
  auto shim = run_in_shim(options, pid);
  shim->client.close();
  shim->pass(1500ms);
  EXPECT_EQ(only_shim().pid > 0, true) << "a container needs it";
  auto other = connect("unix://" + socket());
  EXPECT_EQ(other->state("c1").pid(), static_cast<std::uint32_t>(pid));
  other->end_container("c1");
  EXPECT_TRUE(eventually([&] { return shims_of_namespace(namespace_).empty(); }));
}

// containerd may be slow between `start` and Create.
TEST_F(ServerProcess, WaitsForItsFirstContainerBeyondAShortIdleTimeout) {
  make_bundle("c1");
  EXPECT_TRUE(test::run(command("c1", {"start"}), surroundings_with_idle_timeout("1s")).ok());
  auto shim = connect("unix://" + socket());
  shim->pass(2500ms);
  run(*shim, "c1");
  shim->end_container("c1");
  end_shim(*shim);
}

// containerd has lost the answer to Create, and cleaned up without telling the shim.
TEST_F(ServerProcess, ExitsIfContainerdHasForgottenItsContainers) {
  make_bundle("c1");
  pid_t pid = 0;
  auto shim = run_in_shim(surroundings_with_idle_timeout("1s"), pid);
  shim->client.close();
  ::kill(pid, SIGKILL);
  shim->pass(1500ms);
  auto other = connect("unix://" + socket());
  EXPECT_EQ(other->state("c1").status(), types::STOPPED) << "its bundle still exists";
  EXPECT_TRUE(cleanup("c1").ok());
  fs::remove_all(bundle("c1"));
  other->client.close();
  EXPECT_TRUE(eventually([&] { return shims_of_namespace(namespace_).empty(); }));
}

TEST_F(ServerProcess, IsOneThreadThatSleepsWhenIdle) {
  make_bundle("c1");
  pid_t init = 0;
  auto shim = run_in_shim(surroundings_with_idle_timeout("1s"), init);
  shim->until([&] { return history().size() >= 2; });
  const pid_t pid = only_shim().pid;
  EXPECT_EQ(std::distance(fs::directory_iterator("/proc/" + std::to_string(pid) + "/task"), {}), 1);
  const auto wake_ups = [&] {
    const std::string status = read("/proc/" + std::to_string(pid) + "/status");
    const std::string name = "\nvoluntary_ctxt_switches:";
    return std::stoul(status.substr(status.find(name) + name.size()));
  };
  // Waits until it sleeps and has no pending input.
  unsigned long before = 0;
  shim->until([&] {
    before = wake_ups();
    shim->pass(50ms);
    return process(pid).state == 'S' && wake_ups() == before;
  });
  shim->pass(1200ms);
  EXPECT_EQ(wake_ups(), before);
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_F(ServerProcess, LivesThroughOtherSignals) {
  auto shim = start_shim("c1");
  const pid_t pid = only_shim().pid;
  shim->end(shim->connect_begin(""));  // its handlers are set by then
  for (int number : {SIGUSR1, SIGPIPE, SIGCHLD}) {
    ::kill(pid, number);
    EXPECT_EQ(shim->end(shim->connect_begin("")).shim_pid(), static_cast<std::uint32_t>(pid));
  }
  // A peer that disconnects before its answer.
  for (int i = 0; i < 20; ++i) {
    auto other = connect("unix://" + socket());
    auto call = other->connect_begin("");
    other->pass(1ms);
    other->client.close();
  }
  EXPECT_EQ(shim->end(shim->connect_begin("")).shim_pid(), static_cast<std::uint32_t>(pid));
  end_shim(*shim);
}

// Containers and runtimes get default signal settings, not the shim's.
TEST_F(ServerProcess, KeepsItsSignalSettingsToItself) {
  ContainerConfig config;
  config.args = {"/bin/sh", "-c",
                 "grep -E '^Sig(Blk|Ign)' /proc/self/status; "
                 "cat /proc/self/oom_score_adj"};
  const fs::path out = make_fifo("out");
  Fd reader = open_file(out, O_RDONLY | O_NONBLOCK);
  auto shim = start_shim("c1", config);
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdout(out);
  shim->end(shim->create_begin(request));
  shim->start("c1");
  const std::string text = read_all(*shim, reader.get());
  EXPECT_NE(text.find("SigBlk:\t0000000000000000"), std::string::npos) << text;
  EXPECT_NE(text.find("SigIgn:\t0000000000000000"), std::string::npos) << text;
  shim->wait("c1");
  shim->remove("c1");
  end_shim(*shim);
}

// Variables for the shim are not passed to the runtime.
TEST_F(ServerProcess, KeepsItsEnvironmentToItself) {
  make_bundle("c1");
  const fs::path seen = directory_ / "environment";
  std::ofstream(directory_ / "runtime")
      << "#!/bin/sh\nenv >>" << seen.string() << "\nexec runc \"$@\"\n";
  fs::permissions(directory_ / "runtime", fs::perms::owner_all);
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("GOMAXPROCS=2");
  const Outcome started = test::run(command("c1", {"start"}), options);
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  containerd::runc::v1::Options runc_options;
  runc_options.set_binary_name(directory_ / "runtime");
  api::CreateTaskRequest request = create_request("c1");
  request.mutable_options()->set_type_url("containerd.runc.v1.Options");
  request.mutable_options()->set_value(runc_options.SerializeAsString());
  shim->end(shim->create_begin(request));
  shim->end_container("c1");
  end_shim(*shim);
  options.directory = "/";
  EXPECT_TRUE(test::run(command("c1", {"-bundle", bundle("c1"), "delete"}), options).ok());
  const std::string environment = read(seen);
  EXPECT_NE(environment.find("PATH="), std::string::npos);
  EXPECT_EQ(environment.find("GOMAXPROCS="), std::string::npos) << environment;
}

// --- the log

class ServerLog : public ServerProcess {};

TEST_F(ServerLog, IsInLogrusFormat) {
  make_bundle("c1");
  const Outcome started = start("c1", "", {"-debug"});
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  const pid_t pid = only_shim().pid;
  shim->end(shim->connect_begin("c1"));  // it serves, so its signal handlers are set
  ::kill(pid, SIGTERM);
  until_gone(*shim, pid);
  std::istringstream lines(log_of("c1"));
  const std::regex form(
      "time=\"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z\" "
      "level=(debug|info|warning|error) msg=(\"([^\"\\\\]|\\\\.)*\"|[^ \"]+)( [a-z_]+=.*)?");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(std::regex_match(line, form)) << line;
  EXPECT_GE(count, 1);
}

TEST_F(ServerLog, ThatIsNotReadBlocksNoCall) {
  // containerd does not read its fifo, which is full.
  make_bundle("c1");
  Fd fifo = open_file(bundle("c1") / "log", O_RDWR | O_NONBLOCK);
  char chunk[4096] = {};
  while (::write(fifo.get(), chunk, sizeof chunk) > 0) {
  }
  const Outcome started = start("c1", "", {"-debug"});
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  for (int i = 0; i < 3; ++i) {
    run(*shim, "c1");
    exec(*shim, "c1", "e1", {"/no/such/program"});
    shim->refusal_of(shim->start_begin("c1", "e1"));
    shim->end_container("c1");
  }
  end_shim(*shim);
}

TEST_F(ServerLog, MayBeMissing) {
  make_bundle("c1");
  fs::remove(bundle("c1") / "log");
  const Outcome started = start("c1");
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  run(*shim, "c1");
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
