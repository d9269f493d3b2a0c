// SPDX-License-Identifier: Apache-2.0
// The action `start`, as the different versions of containerd call it.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>

#include "bootstrap.pb.h"
#include "runc_options.pb.h"
#include "shim/address.h"
#include "support/cgroups.h"
#include "support/shim_under_test.h"
#include "wire.pb.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;
using containerd::runtime::bootstrap::v1::BootstrapResult;

constexpr const char* kRuncOptions = "containerd.runc.v1.Options";
constexpr const char* kGroup = "io.containerd.runc.v2.group";

class Start : public ShimTest {
 protected:
  // Where containerd's tools look for the socket.
  std::string expected_path(const std::string& group,
                            const std::string& directory = "/run/containerd/s") const {
    const std::string name = grpc_address().string() + "/" + namespace_ + "/" + group;
    SubprocessOptions options;
    options.input = name;
    const Outcome sum = test::run({"sha256sum"}, options);
    return directory + "/" + sum.out.substr(0, 64);
  }
  std::string expected_address(const std::string& group) const {
    return "unix://" + expected_path(group);
  }
  BootstrapResult result_of(const Outcome& outcome) {
    BootstrapResult result;
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_TRUE(result.ParseFromString(outcome.out)) << outcome;
    EXPECT_EQ(outcome.err, "");
    return result;
  }
  void expect_address(const Outcome& outcome, const std::string& address) {
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(outcome.out, address);
    EXPECT_EQ(outcome.err, "");
  }
  static wire::Any cgroup_options(const std::string& group) {
    containerd::runc::v1::Options options;
    options.set_shim_cgroup(group);
    wire::Any any;
    any.set_type_url(kRuncOptions);
    any.set_value(options.SerializeAsString());
    return any;
  }
  static std::string with_extension(const std::string& params, const wire::Any& any) {
    containerd::runtime::bootstrap::v1::BootstrapParams result;
    EXPECT_TRUE(result.ParseFromString(params));
    *result.add_extensions()->mutable_value() = any;
    return result.SerializeAsString();
  }
  void end_shim_at(const std::string& address) { end_shim(*connect(address)); }
  // `start` fails with one line, and leaves no shim.
  void expect_refused(const Outcome& outcome, const std::string& text) {
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err;
    EXPECT_TRUE(shims_of_namespace(namespace_).empty());
  }
  static unsigned mode_of(const fs::path& path) {
    struct stat status{};
    return ::lstat(path.c_str(), &status) < 0 ? 0 : status.st_mode & 07777;
  }
};

TEST_F(Start, AnswersTheBareAddressToContainerdBefore23) {
  make_bundle("c1");
  expect_address(start("c1"), expected_address("c1"));
  EXPECT_EQ(read(bundle("c1") / "address"), expected_address("c1"));
  end_shim_at(expected_address("c1"));
}

TEST_F(Start, AnswersTheBareAddressAlsoToOptions) {
  make_bundle("c1");
  wire::Any options;
  options.set_type_url("containerd.runc.v1.Options");
  options.set_value("\x32\x04runc");
  expect_address(start("c1", options.SerializeAsString(), {"-debug"}), expected_address("c1"));
  end_shim_at(expected_address("c1"));
}

TEST_F(Start, AnswersAMessageToContainerdSince23) {
  make_bundle("c1");
  BootstrapResult result = result_of(start("c1", bootstrap_params("c1")));
  EXPECT_EQ(result.version(), 3);
  EXPECT_EQ(result.protocol(), "ttrpc");
  EXPECT_EQ(result.address(), expected_address("c1"));
  EXPECT_EQ(read(bundle("c1") / "address"), expected_address("c1")) << "for a downgrade";
  EXPECT_FALSE(fs::exists(bundle("c1") / "s"));
  end_shim_at(result.address());
}

TEST_F(Start, ListensInTheDirectoryAskedFor) {
  make_bundle("c1");
  const fs::path place = directory_ / "s";
  BootstrapResult result = result_of(start("c1", bootstrap_params("c1", 0, place)));
  EXPECT_EQ(result.address(), "unix://" + expected_path("c1", place));
  EXPECT_EQ(mode_of(place), 0700u);
  EXPECT_EQ(mode_of(expected_path("c1", place)), 0600u);
  EXPECT_EQ(fs::read_symlink(bundle("c1") / "s"), place);
  end_shim_at(result.address());
  EXPECT_FALSE(fs::exists(expected_path("c1", place)));
}

TEST_F(Start, MovesTheServerToTheCgroupAskedFor) {
  make_bundle("c1");
  const std::string group = "/" + namespace_ + "/shim";
  const wire::Any options = cgroup_options(group);
  for (const std::string& input :
       {options.SerializeAsString(), with_extension(bootstrap_params("c1"), options)}) {
    ASSERT_TRUE(start("c1", input).ok());
    const std::string line = std::to_string(only_shim().pid) + "\n";
    int count = 0;
    for (const fs::path& place : cgroups_named(namespace_)) {
      if (place.parent_path().filename() == "unified") continue;  // of a hybrid cgroup setup
      EXPECT_EQ(read(place / "shim/cgroup.procs"), line) << place;
      ++count;
    }
    EXPECT_GE(count, 1);
    end_shim_at(expected_address("c1"));
  }
  for (const fs::path& place : cgroups_named(namespace_))
    EXPECT_TRUE(
        eventually([&] { return ::rmdir((place / "shim").c_str()) == 0 || errno == ENOENT; }));
}

TEST_F(Start, PassesTheLogLevelOn) {
  struct {
    std::string input;
    Words flags;
    bool debug;
  } table[] = {{"", {}, false},
               {"", {"-debug"}, true},
               {bootstrap_params("c1"), {}, false},
               {bootstrap_params("c1", -4), {}, true},
               {bootstrap_params("c1", -8), {}, true},
               {bootstrap_params("c1", 4), {}, false}};
  make_bundle("c1");
  for (const auto& row : table) {
    ASSERT_TRUE(start("c1", row.input, row.flags).ok());
    const Words words = only_shim().arguments;
    EXPECT_EQ(std::count(words.begin(), words.end(), "-debug"), row.debug ? 1 : 0);
    end_shim_at(expected_address("c1"));
  }
}

TEST_F(Start, LeavesAServerThatLooksLikeTheStockShim) {
  make_bundle("c1");
  ASSERT_TRUE(start("c1").ok());
  const Process shim = only_shim();
  EXPECT_EQ(
      Words(shim.arguments.begin() + 1, shim.arguments.end()),
      (Words{"-namespace", namespace_, "-id", "c1", "-task-api=2", "-address", grpc_address()}));
  EXPECT_EQ(::getpgid(shim.pid), shim.pid);
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(shim.pid) + "/cwd"), bundle("c1"));
  EXPECT_EQ(shim.parent, 1);
  end_shim_at(expected_address("c1"));
}

TEST_F(Start, GivesTheServerNoDescriptorButItsOwn) {
  make_bundle("c1");
  // As from a containerd that forgot close-on-exec.
  const int stray = ::open("/etc/passwd", O_RDONLY);
  int highest = ::fcntl(stray, F_DUPFD, 500);
  ASSERT_TRUE(start("c1").ok());
  ::close(stray);
  ::close(highest);
  const pid_t pid = only_shim().pid;
  auto shim = connect(expected_address("c1"));
  shim->end(shim->connect_begin("c1"));
  const std::set<std::string> known = {"/dev/null", (bundle("c1") / "log").string(),
                                       "anon_inode:[eventpoll]", "anon_inode:[eventfd]",
                                       "anon_inode:[signalfd]"};
  int sockets = 0;
  for (const std::string& line : open_files(pid)) {
    const std::string target = line.substr(line.find(" -> ") + 4);
    if (target.rfind("socket:", 0) == 0) {
      ++sockets;                                 // the listener, and this client's
    } else if (target.rfind("pipe:", 0) != 0) {  // libuv's, for signals
      EXPECT_EQ(known.count(target), 1u) << line;
    }
  }
  EXPECT_EQ(sockets, 2);
  EXPECT_LE(open_files(pid).size(), 20u);
  end_shim(*shim);
}

TEST_F(Start, PassesTheAddressForEvents) {
  make_bundle("c1");
  SubprocessOptions options = surroundings("c1");
  options.environment[0] = "TTRPC_ADDRESS=/nowhere";
  options.input = bootstrap_params("c1");
  auto shim = connect(result_of(test::run(command("c1", {"start"}), options)).address());
  run(*shim, "c1");
  shim->until([&] { return history().size() >= 2; });
  shim->end_container("c1");
  end_shim(*shim);
}

// As a later containerd may call it, with addresses as in the text of the protocol.
TEST_F(Start, NeedsNoMoreThanTheMessageOfContainerdSince23) {
  make_bundle("c1");
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  params.ParseFromString(bootstrap_params("c1"));
  params.set_containerd_ttrpc_address("unix://" + params.containerd_ttrpc_address());
  SubprocessOptions options;
  options.directory = bundle("c1");
  options.input = params.SerializeAsString();
  const std::string path = "PATH=" + std::string(std::getenv("PATH"));
  const BootstrapResult result =
      result_of(test::run({"/usr/bin/env", "-i", path, binary_, "start"}, options));
  EXPECT_EQ(result.address(), expected_address("c1"));
  auto shim = connect(result.address());
  run(*shim, "c1");
  shim->until([&] { return history().size() >= 2; });
  shim->end_container("c1");
  end_shim(*shim);
}

// The flag is for servers started by hand.
TEST_F(Start, TakesNoNoticeOfASocketFlag) {
  make_bundle("c1");
  const fs::path other = directory_ / "other";
  expect_address(start("c1", "", {"-socket", other}), expected_address("c1"));
  auto shim = connect(expected_address("c1"));
  shim->end(shim->connect_begin(""));
  EXPECT_FALSE(fs::exists(other));
  end_shim(*shim);
}

TEST_F(Start, MakesTheSocketAccessibleToTheOwnerOnly) {
  make_bundle("c1");
  const mode_t before = ::umask(0);
  ASSERT_TRUE(start("c1").ok());
  ::umask(before);
  EXPECT_EQ(mode_of("/run/containerd/s"), 0700u);
  EXPECT_EQ(mode_of(expected_path("c1")), 0600u);
  end_shim_at(expected_address("c1"));
}

TEST_F(Start, SetsTheServersOomScoreAboveItsCallers) {
  const auto score_of = [&](const std::string& pid) {
    return std::stoi(read("/proc/" + pid + "/oom_score_adj"));
  };
  const int before = score_of("self");
  for (int score : {before + 100, 1000}) {
    std::ofstream("/proc/self/oom_score_adj") << score;
    make_bundle("c1");
    ASSERT_TRUE(start("c1").ok());
    EXPECT_EQ(score_of(std::to_string(only_shim().pid)), std::min(score + 1, 1000));
    end_shim_at(expected_address("c1"));
  }
  std::ofstream("/proc/self/oom_score_adj") << before;
}

// --- groups

class StartOfGroup : public Start {
 protected:
  void make_member(const std::string& id, const std::string& key = kGroup) {
    ContainerConfig config;
    config.annotations[key] = "pod";
    make_bundle(id, config);
  }
  // The containers that later calls of `start` have announced do not come; the shim would wait for
  // them.
  void end_pod(const Words& expected) {
    auto shim = connect(expected_address("pod"));
    for (const std::string& id : expected) {
      api::CreateTaskRequest request = create_request(id);
      request.set_bundle(directory_ / "no bundle");
      shim->refusal_of(shim->create_begin(request));
    }
    end_shim(*shim);
  }
};

TEST_F(StartOfGroup, FindsTheGroupsShim) {
  make_member("one");
  make_member("two", "io.kubernetes.cri.sandbox-id");
  make_bundle("three");
  expect_address(start("one"), expected_address("pod"));
  const pid_t pid = only_shim().pid;
  expect_address(start("two"), expected_address("pod"));
  EXPECT_EQ(only_shim().pid, pid);
  EXPECT_EQ(read(bundle("two") / "address"), expected_address("pod"));
  expect_address(start("three"), expected_address("three"));
  EXPECT_EQ(shims_of_namespace(namespace_).size(), 2u);
  end_pod({"two"});
  end_shim_at(expected_address("three"));
}

TEST_F(StartOfGroup, IsAnsweredWithTheVersionThatWasGivenOutFirst) {
  make_member("one");
  make_member("two");
  const std::string address = expected_address("pod");
  // An older containerd started it, and a newer one asks.
  expect_address(start("one"), address);
  BootstrapResult result = result_of(start("two", bootstrap_params("two")));
  EXPECT_EQ(result.version(), 2);
  EXPECT_EQ(result.address(), address);
  expect_address(start("two"), address);
  end_pod({"two", "two"});
  // A newer one started it, an older one asks, then the newer one again.
  EXPECT_EQ(result_of(start("one", bootstrap_params("one"))).version(), 3);
  expect_address(start("two"), address);
  result = result_of(start("two", bootstrap_params("two")));
  EXPECT_EQ(result.version(), 3);
  EXPECT_EQ(result.address(), address);
  end_pod({"two", "two"});
}

// By hand: the command line of `start` has no room for all arguments of the server.
TEST_F(StartOfGroup, IsAnsweredWithThatVersionAlsoWithAShortCommandLine) {
  make_member("one");
  make_member("two");
  SubprocessOptions options = surroundings("one");
  options.input = bootstrap_params("one");
  const Words words = {command("one", {})[0],
                       "-address",
                       grpc_address(),
                       "-namespace",
                       namespace_,
                       "-id",
                       "one",
                       "start"};
  EXPECT_EQ(result_of(test::run(words, options)).version(), 3);
  EXPECT_EQ(result_of(start("two", bootstrap_params("two"))).version(), 3);
  end_pod({"two"});
  options.input.clear();
  expect_address(test::run(words, options), expected_address("pod"));
  EXPECT_EQ(result_of(start("two", bootstrap_params("two"))).version(), 2);
  end_pod({"two"});
}

TEST_F(StartOfGroup, ReplacesADeadSocket) {
  make_member("one");
  fs::create_directories("/run/containerd/s");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, expected_path("pod").c_str());
  const int dead = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::listen(dead, 1);
  ::close(dead);
  expect_address(start("one"), expected_address("pod"));
  end_shim_at(expected_address("pod"));
}

TEST_F(StartOfGroup, ReplacesAShimThatWasKilled) {
  make_member("one");
  for (int i = 0; i < 5; ++i) {
    expect_address(start("one"), expected_address("pod"));
    // Immediately: the kernel may not have closed its descriptors yet.
    ::kill(only_shim().pid, SIGKILL);
  }
  expect_address(start("one"), expected_address("pod"));
  EXPECT_TRUE(eventually([&] { return shims_of_namespace(namespace_).size() == 1; }));
  end_shim_at(expected_address("pod"));
}

TEST_F(StartOfGroup, YieldsOneShimForAnyNumberOfConcurrentStarts) {
  constexpr int kMembers = 20;
  std::vector<Subprocess> starting;
  Words members;
  for (int i = 0; i < kMembers; ++i) {
    members.push_back("c" + std::to_string(i));
    make_member(members.back());
  }
  for (int i = 0; i < kMembers; ++i) {
    const std::string& id = members[static_cast<std::size_t>(i)];
    SubprocessOptions options = surroundings(id);
    if (i % 2) options.input = bootstrap_params(id);
    starting.emplace_back(command(id, {"start"}), std::move(options));
  }
  std::set<int> versions;
  for (int i = 0; i < kMembers; ++i) {
    const Outcome outcome = starting[static_cast<std::size_t>(i)].wait();
    if (i % 2) {
      BootstrapResult result = result_of(outcome);
      EXPECT_EQ(result.address(), expected_address("pod"));
      versions.insert(result.version());
    } else {
      expect_address(outcome, expected_address("pod"));
    }
  }
  EXPECT_EQ(versions.size(), 1u) << "all agree";
  only_shim();
  end_pod(members);
}

// Another pod's `start` hangs, or its shim exits.
TEST_F(Start, IsDelayedByNoOther) {
  make_bundle("c1");
  make_bundle("c2");
  std::optional<SocketLock> others(expected_path("c2"));
  expect_address(start("c1"), expected_address("c1"));
  end_shim_at(expected_address("c1"));
  expect_refused(start("c2"), "timed out after 4000ms: another start or delete holds it");
  others.reset();
  expect_address(start("c2"), expected_address("c2"));
  // An exiting server is not delayed by a process that probes its socket either.
  others.emplace(expected_path("c2"));
  end_shim_at(expected_address("c2"));
  EXPECT_FALSE(fs::exists(expected_path("c2")));
}

// containerd may be slow to read the answer.
TEST_F(StartOfGroup, ThatCannotPrintBlocksNoOther) {
  make_member("one");
  make_member("two");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  const std::string full(4096, 'x');
  ASSERT_EQ(::write(ends[1], full.data(), full.size()), 4096);
  const Words words = command("one", {"start"});
  const std::string directory = bundle("one");
  const pid_t hung = ::fork();
  if (hung == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, STDIN_FILENO);
    if (::chdir(directory.c_str()) == 0) ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  EXPECT_TRUE(eventually([&] { return !shims_of_namespace(namespace_).empty(); }));
  expect_address(start("two"), expected_address("pod"));
  std::string text(8192, 0);
  EXPECT_EQ(::read(ends[0], text.data(), 4096), 4096);
  ::close(ends[1]);
  int status = 0;
  EXPECT_EQ(::waitpid(hung, &status, 0), hung);
  EXPECT_EQ(status, 0);
  text.resize(static_cast<std::size_t>(::read(ends[0], text.data(), text.size())));
  EXPECT_EQ(text, expected_address("pod"));
  ::close(ends[0]);
  end_pod({"two"});
}

// --- invalid input

TEST_F(Start, WithoutAConfigIsRefused) {
  make_bundle("c1");
  fs::remove(bundle("c1") / "config.json");
  expect_refused(start("c1"), "config.json: no such file or directory");
  for (const char* config : {"", "{", "[]", "nonsense", "{\"annotations\":{\"a\":7}}"}) {
    std::ofstream(bundle("c1") / "config.json") << config;
    expect_refused(start("c1"), "config.json");
  }
}

TEST_F(Start, WithNonsenseOnStdinIsRefused) {
  make_bundle("c1");
  expect_refused(start("c1", "nonsense"), "stdin: neither BootstrapParams");
  expect_refused(start("c1", bootstrap_params("c1") + "\xff"), "stdin: neither BootstrapParams");
  expect_refused(start("c1", std::string((10u << 20) + 1, 'x')), "larger than 10485760 bytes");
}

TEST_F(Start, WithBadFlagsIsRefused) {
  make_bundle("c1");
  expect_refused(start("c1", "", {"-no-such-flag"}),
                 "flag provided but not defined: -no-such-flag");
  expect_refused(start("c1", "", {"-namespace", ""}), "namespace");
  expect_refused(start("c1", "", {"-namespace", "../x"}), "namespace");
  expect_refused(start("c1", "", {"-id", "../x"}), "id");
  expect_refused(start("c1", "", {"-id", ""}), "id");
}

// The server itself could not report it.
TEST_F(Start, WithABrokenConfigurationIsRefused) {
  make_bundle("c1");
  const fs::path file = directory_ / "config.yaml";
  std::ofstream(file) << "version: 1\nlog: {level: loud}\n";
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("THINSHIM_CONFIG=" + file.string());
  expect_refused(test::run(command("c1", {"start"}), options), file.string() + ":2: log.level");
}

TEST_F(Start, WithPluginsThatCannotServeIsRefused) {
  make_bundle("c1");
  const fs::path file = directory_ / "config.yaml";
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("THINSHIM_CONFIG=" + file.string());
  struct {
    const char* disabled;
    const char* text;
  } table[] = {
      {"io.containerd.ttrpc.v1.tusk", "disabled plugin \"io.containerd.ttrpc.v1.tusk\": not found"},
      {"io.containerd.event.v1.publisher", "task needs io.containerd.event.v1.publisher, which is"},
      {"io.containerd.ttrpc.v1.task", "no service plugin is enabled"},
  };
  for (const auto& row : table) {
    std::ofstream(file) << "version: 1\ndisabled_plugins: [" << row.disabled << "]\n";
    expect_refused(test::run(command("c1", {"start"}), options), row.text);
    EXPECT_FALSE(fs::exists(expected_path("c1")));
    // The server leaves nothing by itself either.
    const fs::path socket = directory_ / "s/socket";
    EXPECT_EQ(test::run(command("c1", {"-socket", socket}), options).exit_code, 1);
    EXPECT_NE(log_of("c1").find(row.text), std::string::npos);
    EXPECT_FALSE(fs::exists(socket));
  }
}

TEST_F(Start, WithOptionsThatTheServerCannotUseIsRefused) {
  make_bundle("c1");
  wire::Any options;
  options.set_type_url("containerd.linux.runc.CreateOptions");
  expect_refused(start("c1", options.SerializeAsString()),
                 "of a known type: \"containerd.linux.runc.CreateOptions\"");
  options.set_type_url(kRuncOptions);
  options.set_value("\xff\xff\xff");
  expect_refused(start("c1", options.SerializeAsString()), "options: malformed");
  expect_refused(start("c1", with_extension(bootstrap_params("c1"), options)),
                 "options: malformed");
  EXPECT_FALSE(fs::exists(expected_path("c1")));
}

TEST_F(Start, LeavesNothingIfTheShimsCgroupCannotBeJoined) {
  make_bundle("c1");
  const Outcome outcome =
      start("c1", cgroup_options("/" + namespace_ + "/../x").SerializeAsString());
  EXPECT_TRUE(eventually([&] { return shims_of_namespace(namespace_).empty(); }));
  expect_refused(outcome, "must not contain");
  EXPECT_FALSE(fs::exists(expected_path("c1")));
}

TEST_F(Start, FailsIfItCannotListen) {
  make_bundle("c1");
  expect_refused(start("c1", bootstrap_params("c1", 0, "/proc/nowhere")), "/proc/nowhere");
  expect_refused(start("c1", bootstrap_params("c1", 0, directory_ / std::string(80, 'x'))),
                 "too long");
}

TEST_F(Start, LeavesNothingIfTheBundleCannotBeWritten) {
  make_bundle("c1");
  fs::create_directories(bundle("c1") / "address");  // makes the address file impossible
  expect_refused(start("c1"), "address");
  EXPECT_FALSE(fs::exists(expected_path("c1")));
}

// By hand, or from a program that closes its descriptors.
TEST_F(Start, DoesWithoutStandardDescriptors) {
  struct {
    const char* redirections;
    bool answers;
  } table[] = {{"</dev/null", true}, {"<&-", true},  {"<&- 2>&-", true},
               {"2>&-", true},       {">&-", false}, {"<&- >&- 2>&-", false}};
  make_bundle("c1");
  for (const auto& row : table) {
    SCOPED_TRACE(row.redirections);
    std::string line = "exec";
    for (const std::string& word : command("c1", {"start"})) line += " '" + word + "'";
    line += std::string(" ") + row.redirections;
    const Outcome outcome = test::run({"sh", "-c", line}, surroundings("c1"));
    if (row.answers) {
      expect_address(outcome, expected_address("c1"));
    } else {
      EXPECT_EQ(outcome.exit_code, 1) << outcome;
    }
    for (const Process& shim : shims_of_namespace(namespace_))
      for (const std::string& file : open_files(shim.pid))
        EXPECT_EQ(file.find("/bundles/c1/address"), std::string::npos) << file;
    if (row.answers) end_shim_at(expected_address("c1"));
    EXPECT_TRUE(shims_of_namespace(namespace_).empty()) << "a shim without an address";
    EXPECT_EQ(read(bundle("c1") / "address"), expected_address("c1"));
  }
}

}  // namespace
}  // namespace thinshim::test
