// SPDX-License-Identifier: Apache-2.0
// A shim without resources that the stock shims need, or that machines take away.
#include <signal.h>
#include <sys/mount.h>

#include <fstream>

#include "runc_options.pb.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class ShimWithout : public ShimTest {
 protected:
  std::unique_ptr<TaskCalls> start_shim_in(const SubprocessOptions& surroundings) {
    const Outcome outcome = test::run(command("c1", {"start"}), surroundings);
    EXPECT_TRUE(outcome.ok()) << outcome;
    return connect(outcome.out);
  }
  void expect_exec_serves(TaskCalls& shim, const std::string& id, api::ExecProcessRequest more) {
    exec(shim, "c1", id, {"/bin/sh", "-c", "echo " + id + "; exit 7"}, std::move(more));
    shim.start("c1", id);
    EXPECT_EQ(shim.wait("c1", id), 7u);
    shim.remove("c1", id);
  }
};

// A package's directory may be removed with its version.
TEST_F(ShimWithout, ItsProgramServesOn) {
  const fs::path lasting = binary_;
  binary_ = directory_ / "containerd-shim-runc-v2";
  fs::copy_file(lasting, binary_);
  auto shim = start_shim("c1");
  run(*shim, "c1");
  fs::remove(binary_);
  binary_ = lasting;

  api::ExecProcessRequest to_file;
  to_file.set_stdout("file://" + (directory_ / "log").string());
  expect_exec_serves(*shim, "e1", to_file);
  EXPECT_EQ(read(directory_ / "log"), "e1\n");
  shim->end_container("c1");
  end_shim(*shim);
  EXPECT_TRUE(cleanup("c1").ok());
}

// The stock shims write an exec's process to a file there.
TEST_F(ShimWithout, RoomForTemporaryFilesStartsExecs) {
  const fs::path disk = directory_ / "full";
  fs::create_directory(disk);
  check(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=4k,nr_inodes=1"), "mount");
  EXPECT_FALSE(std::ofstream(disk / "file").is_open());
  make_bundle("c1");
  SubprocessOptions options = surroundings("c1");
  for (const char* name : {"TMPDIR=", "XDG_RUNTIME_DIR="})
    options.environment.push_back(name + disk.string());
  auto shim = start_shim_in(options);
  run(*shim, "c1");
  expect_exec_serves(*shim, "e1", {});
  shim->end_container("c1");
  end_shim(*shim);
  check(::umount2(disk.c_str(), 0), "umount");
}

// systemd's default soft limit is 1,024, below the hard limit. What the shim starts gets the old
// limit.
TEST_F(ShimWithout, AHighLimitOfOpenFilesServesManyExecs) {
  make_bundle("c1");
  const Words limited = {"sh", "-c", "ulimit -Sn 64 && exec \"$@\"", "sh"};
  const Outcome started = test::run(limited + command("c1", {"start"}), surroundings("c1"));
  ASSERT_TRUE(started.ok()) << started;
  auto shim = connect(started.out);
  // runc, if built with Go 1.19, itself raises the limit that its containers inherit.
  std::ofstream(directory_ / "runtime")
      << "#!/bin/sh\nulimit -Sn >> " << (directory_ / "limits").string() << "\nexec runc \"$@\"\n";
  fs::permissions(directory_ / "runtime", fs::perms::owner_all);
  containerd::runc::v1::Options runtime;
  runtime.set_binary_name(directory_ / "runtime");
  api::CreateTaskRequest create = create_request("c1");
  set_options(create, runtime);
  shim->end(shim->create_begin(create));
  shim->start("c1");
  for (int i = 0; i < 20; ++i) {
    const std::string id = "e" + std::to_string(i);
    api::ExecProcessRequest request;
    request.set_stdin(make_fifo(id + ".in"));
    request.set_stdout(make_fifo(id + ".out"));
    request.set_stderr(make_fifo(id + ".err"));
    exec(*shim, "c1", id, {"/bin/sleep", "1000"}, request);
    shim->start("c1", id);
  }
  EXPECT_GT(open_files(only_shim().pid).size(), 64u);
  // Create, start and each exec.
  std::string limits;
  for (int i = 0; i < 22; ++i) limits += "64\n";
  EXPECT_EQ(read(directory_ / "limits"), limits);
  for (int i = 0; i < 20; ++i) {
    const std::string id = "e" + std::to_string(i);
    shim->kill("c1", SIGKILL, id);
    shim->wait("c1", id);
    shim->remove("c1", id);
  }
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
