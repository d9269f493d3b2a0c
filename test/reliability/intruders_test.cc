// SPDX-License-Identifier: Apache-2.0
// What a container, a client or a bundle cannot make the shim do to other files. Who may connect is
// in test/end_to_end/server_test.cc and start_test.cc.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "reliability/fast_shim.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Intruders : public FastShimTest {
 protected:
  // What a process has open, without the numbers of pipes and the like.
  static Lines descriptors(pid_t pid) {
    Lines lines = open_files(pid);
    for (std::string& line : lines) line = line.substr(0, line.find_first_of(":("));
    return lines;
  }
  // The process that the shim runs as this runtime: `sh` has become it, and kept what it was given.
  // A static program, which opens nothing itself.
  pid_t runtime_pid(TaskCalls& shim) {
    std::vector<Process> children;
    shim.until([&] {
      children = children_of(only_shim().pid);
      return !children.empty() && children.back().name == "busybox";
    });
    return children.back().pid;
  }
  static std::map<std::string, unsigned> modes_below(const fs::path& directory) {
    std::map<std::string, unsigned> modes;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      struct stat status{};
      ::lstat(entry.path().c_str(), &status);
      modes[entry.path().lexically_relative(directory)] = status.st_mode & 0777;
    }
    return modes;
  }
};

TEST_F(Intruders, RuntimeAndContainerGetNoDescriptorButTheirOwn) {
  const std::string runtime = directory_ / "hangs";
  write_file(runtime,
             "#!/bin/sh\ncase \"$*\" in *\" $(cat " + (directory_ / "verb").string() +
                 ") \"*) exec /bin/busybox sleep 60;; esac\nexec " + fast_runtime() + " \"$@\"\n",
             0755);
  const auto hang_at = [&](const std::string& verb) { std::ofstream(directory_ / "verb") << verb; };
  hang_at("create");
  ContainerConfig config;
  config.args = {"sleep"};
  auto shim = start_shim("c1", config);
  const std::string null = "/dev/null";
  const std::string log = "3 -> /memfd";
  auto creating = shim->create_begin(fast_request("c1", runtime));
  pid_t pid = runtime_pid(*shim);
  EXPECT_EQ(descriptors(pid), (Lines{"0 -> " + null, "1 -> " + null, "2 -> " + null}));
  hang_at("start");
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(contains(shim->refusal_of(creating), "signal 9"));
  shim->end(shim->create_begin(fast_request("c1", runtime)));
  auto starting = shim->start_begin("c1");
  pid = runtime_pid(*shim);
  EXPECT_EQ(descriptors(pid), (Lines{"0 -> " + null, "1 -> pipe", "2 -> pipe", log}));
  hang_at("exec");
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(contains(shim->refusal_of(starting), "signal 9"));
  const pid_t init = shim->start("c1");
  EXPECT_EQ(descriptors(init).size(), 3u) << ::testing::PrintToString(descriptors(init));
  exec(*shim, "c1", "e1", {"sleep"});
  auto exec_starting = shim->start_begin("c1", "e1");
  pid = runtime_pid(*shim);
  EXPECT_EQ(descriptors(pid),
            (Lines{"0 -> " + null, "1 -> " + null, "2 -> " + null, log, "4 -> /memfd"}));
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(contains(shim->refusal_of(exec_starting), "signal 9"));
  hang_at("nothing");
  shim->end_container("c1");
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

TEST_F(Intruders, FilesAreTheirOwnersOnlyWhateverTheUmask) {
  const mode_t before = ::umask(0);
  auto shim = run_fast("c1");
  ::umask(before);
  std::map<std::string, unsigned> modes = modes_below(bundle("c1"));
  for (const char* theirs : {"config.json", "rootfs", "log"}) modes.erase(theirs);
  EXPECT_EQ(modes["address"], 0600u);
  EXPECT_EQ(modes["options.json"], 0600u);
  EXPECT_EQ(modes["runtime"], 0600u);
  for (const auto& [name, mode] : modes_below("/run/containerd/s"))
    EXPECT_EQ(mode & 077, 0u) << name;
  for (const auto& [name, mode] : modes) EXPECT_EQ(mode & 022, 0u) << name;
  shim->end_container("c1");
  end_shim(*shim);
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
    if (id.find('\0') == std::string::npos) {  // which ends an argument
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

TEST_F(Intruders, NoLinkInABundleIsFollowed) {
  auto shim = run_fast("c1");
  const fs::path victim = directory_ / "victim";
  const std::string text = "/no/such/runtime";
  for (const char* name : {"options.json", "runtime", "config.json"}) {
    SCOPED_TRACE(name);
    ContainerConfig config;
    config.args = {"sleep"};
    make_bundle("c2", config);
    std::ofstream(victim) << text;
    fs::remove(bundle("c2") / name);
    fs::create_symlink(victim, bundle("c2") / name);
    const Error error = shim->refusal_of(shim->create_begin(fast_request("c2")));
    EXPECT_TRUE(contains(error, std::string(name) + ": too many levels of symbolic links"))
        << error.what();
    EXPECT_EQ(read(victim), text);
    const Outcome cleaned = cleanup("c2");  // which may say so too
    EXPECT_TRUE(cleaned.ok() || cleaned.err.find(name) != std::string::npos) << cleaned;
    EXPECT_EQ(read(victim), text);
    fs::remove(bundle("c2") / name);
  }
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
