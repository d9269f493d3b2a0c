// SPDX-License-Identifier: Apache-2.0
// What a container, a client or a bundle cannot make the shim do to other files.
// test/end_to_end/server_test.cc and start_test.cc test who may connect.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "reliability/fast_shim.h"
#include "support/fake_runtime.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Intruders : public FastShimTest {
 protected:
  // The open files of a process, without the numbers of pipes and the like.
  static Lines descriptors(pid_t pid) {
    Lines lines = open_files(pid);
    for (std::string& line : lines) line = line.substr(0, line.find_first_of(":("));
    return lines;
  }
  // The fast runtime, which hangs at one verb.
  std::string runtime_that_hangs() const {
    const fs::path runtime = directory_ / "hangs";
    write_file(runtime,
               "#!/bin/sh\ncase \"$*\" in *\" $(cat " + (directory_ / "verb").string() +
                   ") \"*) exec /bin/busybox sleep 60;; esac\nexec " + fast_runtime() + " \"$@\"\n",
               0755);
    return runtime;
  }
  void hang_at(const std::string& verb) const { std::ofstream(directory_ / "verb") << verb; }
  // The hung process: `sh` has called execve(2) and kept its descriptors. A static program, which
  // opens no files itself.
  pid_t runtime_pid(TaskCalls& shim) {
    std::vector<Process> children;
    shim.until([&] {
      children = children_of(only_shim().pid);
      return !children.empty() && children.back().name == "busybox";
    });
    return children.back().pid;
  }
  static unsigned mode_of(const fs::path& path) {
    struct stat status{};
    ::lstat(path.c_str(), &status);
    return status.st_mode & 07777;
  }
  using Modes = std::map<std::string, unsigned>;
  static Modes modes_below(const fs::path& directory) {
    Modes modes;
    for (const auto& entry : fs::recursive_directory_iterator(directory))
      modes[entry.path().lexically_relative(directory)] = mode_of(entry.path());
    return modes;
  }
};

TEST_F(Intruders, RuntimeAndContainerGetNoDescriptorButTheirOwn) {
  hang_at("create");
  ContainerConfig config;
  config.args = {"sleep"};
  config.terminal = true;
  auto shim = start_shim("c1", config);
  const Lines nothing = {"0 -> /dev/null", "1 -> /dev/null", "2 -> /dev/null"};
  const Lines talk = {"0 -> /dev/null", "1 -> pipe", "2 -> pipe"};
  // The descriptors of the runtime for this call; kills it.
  const auto expect_hung = [&](const auto& call, const Lines& descriptors_of_it) {
    const pid_t pid = runtime_pid(*shim);
    EXPECT_EQ(descriptors(pid), descriptors_of_it);
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(contains(shim->refusal_of(call), "signal 9"));
  };
  api::CreateTaskRequest request = fast_request("c1", runtime_that_hangs());
  expect_hung(shim->create_begin(request), nothing);
  request.set_terminal(true);
  expect_hung(shim->create_begin(request), nothing);
  hang_at("start");
  shim->end(shim->create_begin(request));
  expect_hung(shim->start_begin("c1"), talk);
  hang_at("exec");
  const pid_t init = shim->start("c1");
  EXPECT_EQ(descriptors(init).size(), 3u) << ::testing::PrintToString(descriptors(init));
  exec(*shim, "c1", "e1", {"sleep"});
  expect_hung(shim->start_begin("c1", "e1"), nothing);
  api::ExecProcessRequest with_terminal;
  with_terminal.set_terminal(true);
  exec(*shim, "c1", "e2", {"sleep"}, with_terminal);
  expect_hung(shim->start_begin("c1", "e2"), nothing);
  hang_at("kill");
  expect_hung(shim->kill_begin("c1", SIGTERM), talk);
  expect_hung(shim->kill_begin("c1", SIGKILL, "", true), talk);
  hang_at("pause");
  expect_hung(shim->pause_begin("c1"), talk);
  hang_at("update");
  expect_hung(shim->update_begin("c1", "{}"), Lines{"0 -> /memfd", "1 -> pipe", "2 -> pipe"});
  hang_at("checkpoint");
  expect_hung(shim->checkpoint_begin("c1", directory_ / "image"), talk);
  hang_at("delete");
  shim->kill("c1", SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  expect_hung(shim->remove_begin("c1"), talk);
  hang_at("nothing");
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Intruders, ARealContainerHasNoDescriptorButItsOwn) {
  ContainerConfig config;
  config.args = {"/bin/sh", "-c", "ls /proc/self/fd"};
  auto shim = start_shim("c1", config);
  const fs::path out = make_fifo("out");
  const Fd reader = open_file(out, O_RDONLY | O_NONBLOCK);
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdout(out);
  shim->end(shim->create_begin(request));
  shim->start("c1");
  EXPECT_EQ(read_all(*shim, reader.get()), "0\n1\n2\n3\n") << "3 is the directory";
  EXPECT_EQ(shim->wait("c1"), 0u);
  shim->remove("c1");
  end_shim(*shim);
}

// All files of a life with a terminal, an exec and a log file, except the runtime's own.
TEST_F(Intruders, FilesAreTheirOwnersOnlyWhateverTheUmask) {
  for (const mode_t mask : {0u, 077u}) {
    SCOPED_TRACE(mask);
    const std::string id = mask == 0 ? "c1" : "c2";
    ContainerConfig config;
    config.args = {"sleep"};
    config.terminal = true;
    make_bundle(id, config);
    Modes expected = modes_below(bundle(id));
    const mode_t before = ::umask(mask);
    const Outcome started = start(id);
    ::umask(before);
    ASSERT_TRUE(started.ok()) << started;
    auto shim = connect(started.out);
    const std::string socket = started.out.substr(started.out.rfind('/') + 1);
    EXPECT_EQ(mode_of("/run/containerd/s"), 0700u);
    EXPECT_EQ(modes_below("/run/containerd/s"), (Modes{{".lock", 0600}, {socket, 0600}}));
    expected["address"] = 0600;
    EXPECT_EQ(modes_below(bundle(id)), expected);

    hang_at("create");
    api::CreateTaskRequest request = fast_request(id, runtime_that_hangs());
    request.set_terminal(true);
    auto creating = shim->create_begin(request);
    const pid_t pid = runtime_pid(*shim);
    for (const char* name : {"options.json", "runtime", "console-1.sock"}) expected[name] = 0600;
    EXPECT_EQ(modes_below(bundle(id)), expected);
    hang_at("nothing");
    ::kill(pid, SIGKILL);
    shim->refusal_of(creating);
    shim->end(shim->create_begin(request));
    shim->start(id);
    api::ExecProcessRequest process;
    const std::string output = directory_ / ("output-" + id);
    process.set_stdout("file://" + output);
    exec(*shim, id, "e1", {"sleep"}, process);
    shim->start(id, "e1");
    expected.erase("console-1.sock");
    for (const char* name : {"init.pid", "e1.pid"}) expected[name] = 0644;
    EXPECT_EQ(modes_below(bundle(id)), expected);
    EXPECT_EQ(mode_of(output), 0644u & ~mask);
    shim->kill(id, SIGKILL, "e1");
    shim->wait(id, "e1");
    shim->end_container(id);
    end_shim(*shim);
  }
}

TEST_F(Intruders, NoPathInAnIdReachesAFile) {
  auto shim = run_fast("c1");
  const auto before = modes_below(directory_);
  const auto run_before = modes_below("/run/containerd");
  const std::string climbing = "../../" + directory_.filename().string();
  for (const std::string& id : {std::string("../c1"), std::string("c1/../c1"), std::string(".."),
                                std::string("/etc"), std::string("c1/"), std::string("a\nb"),
                                std::string("a\0b", 3), climbing, std::string(77, 'a')}) {
    SCOPED_TRACE(id);
    if (id.find('\0') == std::string::npos) {  // which would end an argument
      for (const char* action : {"start", "delete"}) {
        SubprocessOptions options = surroundings("c1");
        Words words = command("c1", {action});
        for (std::size_t i = 0; i + 1 < words.size(); ++i)
          if (words[i] == "-id") words[i + 1] = id;
        const Outcome refused = test::run(words, options);
        EXPECT_EQ(refused.exit_code, 1) << refused;
        EXPECT_NE((refused.out + refused.err).find(": id \""), std::string::npos) << refused;
      }
    }
    api::CreateTaskRequest create = fast_request("c1");
    create.set_id(id);
    EXPECT_EQ(shim->refusal_of(shim->create_begin(create)).code(), Code::invalid_argument);
    api::ExecProcessRequest exec;
    exec.set_id("c1");
    exec.set_exec_id(id);
    exec.mutable_spec()->set_value(R"({"args":["sleep"]})");
    EXPECT_EQ(shim->refusal_of(shim->begin<Empty>("Exec", exec)).code(), Code::invalid_argument);
    EXPECT_EQ(shim->refusal_of(shim->state_begin(id)).code(), Code::not_found);
    EXPECT_EQ(shim->refusal_of(shim->remove_begin(id)).code(), Code::not_found);
    EXPECT_EQ(shim->refusal_of(shim->remove_begin("c1", id)).code(), Code::not_found);
  }
  EXPECT_EQ(modes_below(directory_), before);
  EXPECT_EQ(modes_below("/run/containerd"), run_before);
  shim->end_container("c1");
  end_shim(*shim);
}

// A file of a bundle is a symbolic link: Create and `delete` either refuse it, or replace it. With
// runc, that includes its pid file.
TEST_F(Intruders, NoLinkInABundleIsFollowed) {
  auto shim = run_fast("c1");
  const fs::path victim = directory_ / "victim";
  const std::string text = "/no/such/runtime";
  const struct {
    const char* name;
    bool stops_create;
    bool fails_delete;  // else only a line in its log
  } links[] = {
      {"config.json", true, false}, {"options.json", false, true}, {".options.json", true, false},
      {"runtime", false, true},     {".runtime", true, false},     {"address", false, true},
      {".address", true, false},    {"init.pid", false, false},    {"exit.json", false, false}};
  for (const auto& link : links) {
    SCOPED_TRACE(link.name);
    const fs::path name = bundle("c2") / link.name;
    const std::string refused = std::string(link.name) + ": too many levels of symbolic links";
    const auto put_link = [&] {
      make_bundle("c2");
      std::ofstream(victim) << text;
      fs::remove(name);
      fs::create_symlink(victim, name);
    };
    put_link();
    auto creating = shim->create_begin(create_request("c2"));
    if (link.stops_create) {
      const Error error = shim->refusal_of(creating);
      EXPECT_TRUE(contains(error, refused)) << error.what();
    } else {
      shim->end(creating);
      shim->remove("c2");
      EXPECT_FALSE(fs::is_symlink(name));
    }
    EXPECT_EQ(read(victim), text);
    put_link();
    const Outcome cleaned = cleanup("c2");
    EXPECT_EQ(cleaned.ok(), !link.fails_delete) << cleaned;
    const bool says_so = (cleaned.out + cleaned.err).find(refused) != std::string::npos;
    EXPECT_EQ(says_so, fs::is_symlink(name)) << cleaned;
    EXPECT_EQ(read(victim), text);
    fs::remove_all(bundle("c2") / link.name);
  }
  shim->end_container("c1");
  end_shim(*shim);
}

// If the log is a link to another file, the shim has no log, or is not started.
TEST_F(Intruders, NoLinkInPlaceOfTheLogIsFollowed) {
  ContainerConfig config;
  config.args = {"sleep"};
  make_bundle("c1", config);
  const fs::path victim = directory_ / "victim";
  std::ofstream(victim) << "kept";
  fs::remove(bundle("c1") / "log");
  fs::create_symlink(victim, bundle("c1") / "log");
  const Outcome started = start("c1");
  EXPECT_EQ(read(victim), "kept");
  if (!started.ok()) return;
  auto shim = connect(started.out);
  const pid_t pid = only_shim().pid;
  shim->end(shim->create_begin(fast_request("c1")));
  ::kill(pid, SIGUSR1);  // the shim writes a line
  shim->start("c1");
  for (const std::string& file : open_files(pid))
    EXPECT_EQ(file.find(victim), std::string::npos) << file;
  EXPECT_EQ(read(victim), "kept");
  shim->end_container("c1");
  end_shim(*shim);
  EXPECT_EQ(read(victim), "kept");
}

// Nothing is mounted at the target of a link in place of the root file system.
TEST_F(Intruders, NoLinkInPlaceOfTheRootfsIsFollowed) {
  auto shim = run_fast("c1");
  const fs::path elsewhere = directory_ / "elsewhere";
  fs::create_directories(elsewhere);
  std::ofstream(elsewhere / "file") << "kept";
  ContainerConfig config;
  config.args = {"sleep"};
  make_bundle("c2", config);
  fs::remove(bundle("c2") / "rootfs");
  fs::create_symlink(elsewhere, bundle("c2") / "rootfs");
  api::CreateTaskRequest request = fast_request("c2");
  containerd::types::Mount* const mount = request.add_rootfs();
  mount->set_type("tmpfs");
  mount->set_source("tmpfs");
  const Error error = shim->refusal_of(shim->create_begin(request));
  EXPECT_TRUE(contains(error, "rootfs")) << error.what();
  EXPECT_EQ(read(elsewhere / "file"), "kept");
  EXPECT_EQ(read("/proc/self/mountinfo").find(elsewhere), std::string::npos);
  EXPECT_TRUE(cleanup("c2").ok());
  EXPECT_EQ(read(elsewhere / "file"), "kept");
  shim->end_container("c1");
  end_shim(*shim);
}

// The runtime's files have the modes that it sets, whatever containerd's umask is.
TEST_F(Intruders, TheRuntimesUmaskIsTheUsual) {
  FakeRuntime runtime;
  const fs::path umask_file = directory_ / "umask";
  for (const char* verb : {"create", "exec"})
    runtime.before(verb, "umask > " + umask_file.string());
  for (const mode_t mask : {0u, 077u}) {
    SCOPED_TRACE(mask);
    make_bundle("c1");
    const mode_t before = ::umask(mask);
    const Outcome started = start("c1");
    ::umask(before);
    ASSERT_TRUE(started.ok()) << started;
    auto shim = connect(started.out);
    shim->end(shim->create_begin(fast_request("c1", runtime.binary())));
    EXPECT_EQ(read(umask_file), "0022\n");
    shim->start("c1");
    fs::remove(umask_file);
    exec(*shim, "c1", "e1", {"exit 0"});
    shim->start("c1", "e1");
    EXPECT_EQ(read(umask_file), "0022\n");
    EXPECT_EQ(shim->wait("c1", "e1"), 0u);
    shim->remove("c1", "e1");
    shim->end_container("c1");
    end_shim(*shim);
  }
}

// The image belongs to the client and the runtime; after a checkpoint the shim removes only its own
// directory in the bundle.
TEST_F(Intruders, NoLinkAtACheckpointIsFollowed) {
  FakeRuntime runtime;
  auto shim = start_shim("c1");
  shim->end(shim->create_begin(fast_request("c1", runtime.binary())));
  shim->start("c1");
  const fs::path elsewhere = directory_ / "elsewhere", image = directory_ / "image";
  fs::create_directories(elsewhere);
  std::ofstream(elsewhere / "file") << "kept";
  for (const fs::path& link : {image, bundle("c1") / "criu-work"})
    fs::create_symlink(elsewhere, link);
  shim->end(shim->checkpoint_begin("c1", image));
  EXPECT_TRUE(fs::is_symlink(image));
  EXPECT_EQ(read(elsewhere / "file"), "kept");
  EXPECT_FALSE(fs::exists(fs::symlink_status(bundle("c1") / "criu-work")))
      << "it is the shim's own";
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
