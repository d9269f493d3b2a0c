// SPDX-License-Identifier: Apache-2.0
// What containerd and the configuration tell the shim about the runtime, as the runtime sees it.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "runc_options.pb.h"
#include "runtime_options.pb.h"
#include "support/freezable_disk.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Options : public ShimTest {
 protected:
  // A `runc` that records its arguments and environment in `calls` and `environment`.
  fs::path witness() const {
    const fs::path program = directory_ / "witness";
    std::ofstream(program) << "#!/bin/sh\necho \"$@\" >> " << (directory_ / "calls").string()
                           << "\nenv > " << (directory_ / "environment").string()
                           << "\nexec runc \"$@\"\n";
    fs::permissions(program, fs::perms::owner_all);
    return program;
  }
  // The calls of one verb, each with its arguments.
  Lines calls_of(const std::string& verb) const {
    Lines calls;
    std::ifstream file(directory_ / "calls");
    for (std::string line; std::getline(file, line);)
      if ((" " + line + " ").find(" " + verb + " ") != std::string::npos) calls.push_back(line);
    return calls;
  }
  template <class Message>
  static void set_options(api::CreateTaskRequest& request, const std::string& type,
                          const Message& options) {
    request.mutable_options()->set_type_url(type);
    request.mutable_options()->set_value(options.SerializeAsString());
  }
  void run_to_its_end(TaskCalls& shim, const api::CreateTaskRequest& request) {
    shim.end(shim.create_begin(request));
    shim.start("c1");
    shim.end_container("c1");
  }
  void expect_all_to_have(const Lines& calls, const std::string& words) {
    EXPECT_FALSE(calls.empty()) << words;
    for (const std::string& call : calls)
      EXPECT_NE((" " + call + " ").find(" " + words + " "), std::string::npos) << call;
  }
};

TEST_F(Options, OfARequestReachTheRuntime) {
  auto shim = start_shim("c1");
  containerd::runc::v1::Options options;
  options.set_binary_name(witness());
  options.set_root(directory_ / "root");
  options.set_no_pivot_root(true);
  options.set_no_new_keyring(true);
  api::CreateTaskRequest request = create_request("c1");
  set_options(request, "containerd.runc.v1.Options", options);
  run_to_its_end(*shim, request);
  end_shim(*shim);
  const std::string root = "--root " + (directory_ / "root" / namespace_).string();
  for (const char* verb : {"create", "start", "kill", "delete"})
    expect_all_to_have(calls_of(verb), root);
  expect_all_to_have(calls_of("create"), "--no-pivot");
  expect_all_to_have(calls_of("create"), "--no-new-keyring");
}

// What CRI sends for runtimes of other names.
TEST_F(Options, InCrisFormReachTheRuntime) {
  auto shim = start_shim("c1");
  runtimeoptions::v1::Options options;
  options.set_type_url("containerd.runc.v1.Options");
  options.set_config_body("BinaryName = \"" + witness().string() +
                          "\"\nNoPivotRoot = true\nRoot = \"" + (directory_ / "root").string() +
                          "\"\n");
  api::CreateTaskRequest request = create_request("c1");
  set_options(request, "runtimeoptions.v1.Options", options);
  run_to_its_end(*shim, request);
  end_shim(*shim);
  expect_all_to_have(calls_of("create"), "--root " + (directory_ / "root" / namespace_).string());
  expect_all_to_have(calls_of("create"), "--no-pivot");
}

TEST_F(Options, InAFileThatTheRequestNamesReachTheRuntime) {
  auto shim = start_shim("c1");
  std::ofstream(directory_ / "thin.yaml")
      << "version: 1\nplugins:\n  io.containerd.ttrpc.v1.task:\n    runtime:\n      binary: "
      << witness().string() << "\n      root: " << (directory_ / "root").string() << "\n";
  runtimeoptions::v1::Options options;
  options.set_config_path(directory_ / "thin.yaml");
  api::CreateTaskRequest request = create_request("c1");
  set_options(request, "runtimeoptions.v1.Options", options);
  run_to_its_end(*shim, request);
  end_shim(*shim);
  expect_all_to_have(calls_of("create"), "--root " + (directory_ / "root" / namespace_).string());
}

// systemd's readiness protocol concerns containerd only; all other variables are passed on.
TEST_F(Options, LeaveTheRuntimesEnvironmentAsItWas) {
  make_bundle("c1");
  SubprocessOptions surrounding = surroundings("c1");
  surrounding.environment.push_back("NOTIFY_SOCKET=/run/systemd/notify");
  surrounding.environment.push_back("HTTP_PROXY=here");
  const Outcome started = test::run(command("c1", {"start"}), surrounding);
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  containerd::runc::v1::Options options;
  options.set_binary_name(witness());
  api::CreateTaskRequest request = create_request("c1");
  set_options(request, "containerd.runc.v1.Options", options);
  run_to_its_end(*shim, request);
  end_shim(*shim);
  const std::string environment = read(directory_ / "environment");
  EXPECT_EQ(environment.find("NOTIFY_SOCKET"), std::string::npos) << environment;
  EXPECT_NE(environment.find("HTTP_PROXY=here\n"), std::string::npos) << environment;
}

// Root in a user namespace can reopen /dev/stdout only if it owns the pipe.
TEST_F(Options, GiveThePipesToTheRootOfAUserNamespace) {
  const FreezableDisk disk(directory_ / "image", directory_ / "disk");  // see rootfs_test.cc
  fs::copy(rootfs(), directory_ / "disk/rootfs",
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (bool by_options : {true, false}) {
    SCOPED_TRACE(by_options ? "as the options say" : "as config.json says");
    ContainerConfig config;
    config.first_host_id = by_options ? 200000 : 100000;
    config.args = {"/bin/sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr; exit 7"};
    config.rootfs = bundle("c1") / "rootfs";
    auto shim = start_shim("c1", config);
    api::CreateTaskRequest request = create_request("c1");
    containerd::types::Mount* mount = request.add_rootfs();
    mount->set_type("bind");
    mount->set_source(directory_ / "disk/rootfs");
    const std::string host_id = std::to_string(config.first_host_id);
    for (const std::string& option :
         {std::string("rbind"), "uidmap=0:" + host_id + ":65536", "gidmap=0:" + host_id + ":65536"})
      mount->add_options(option);
    if (by_options) {
      containerd::runc::v1::Options options;
      options.set_io_uid(config.first_host_id);
      options.set_io_gid(config.first_host_id);
      set_options(request, "containerd.runc.v1.Options", options);
    }
    const std::string out = make_fifo("out" + host_id);
    const std::string err = make_fifo("err" + host_id);
    const Fd out_reader = open_file(out, O_RDONLY | O_NONBLOCK);
    const Fd err_reader = open_file(err, O_RDONLY | O_NONBLOCK);
    request.set_stdout(out);
    request.set_stderr(err);
    shim->end(shim->create_begin(request));
    shim->start("c1");
    EXPECT_EQ(shim->wait("c1"), 7u);
    EXPECT_EQ(read_all(*shim, out_reader.get()), "out\n");
    EXPECT_EQ(read_all(*shim, err_reader.get()), "err\n");
    shim->remove("c1");
    end_shim(*shim);
  }
}

TEST_F(Options, OfTheKernelsSchedulerAreTakenOrRefused) {
  make_bundle("c1");
  SubprocessOptions surrounding = surroundings("c1");
  surrounding.environment.push_back("SCHED_CORE=1");
  const Outcome started = test::run(command("c1", {"start"}), surrounding);
  const auto cookie_of = [](pid_t pid, unsigned long& cookie) {
    return ::prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, pid, PR_SCHED_CORE_SCOPE_THREAD, &cookie);
  };
  unsigned long own = 0;
  if (cookie_of(0, own) < 0) {  // the kernel has no CONFIG_SCHED_CORE
    EXPECT_NE(started.exit_code, 0);
    EXPECT_NE(started.err.find("enable sched core support (PR_SCHED_CORE, Linux 5.14): "),
              std::string::npos)
        << started;
    return;
  }
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  unsigned long cookie = 0;
  ASSERT_EQ(cookie_of(only_shim().pid, cookie), 0);
  EXPECT_NE(cookie, 0u);
  EXPECT_NE(cookie, own);
  unsigned long containers = 0;
  ASSERT_EQ(cookie_of(run(*shim, "c1"), containers), 0);
  EXPECT_EQ(containers, cookie);
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
