// SPDX-License-Identifier: Apache-2.0
// What is known of a runtime without a call, and errors of calls; test/task has the other calls.
#include "oci/runtime.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using Knows = Runtime::Knows;

Knows knows(const std::string& binary, const std::string& root) {
  return Runtime::knows({binary, root}, "c1");
}

TEST(RuntimesLayout, IsKnownByTheNamesOfThree) {
  const test::TempDir directory;
  const std::string root = directory / "root";
  ::mkdir(root.c_str(), 0700);
  ::mkdir((root + "/c1").c_str(), 0700);
  for (const char* binary :
       {"runc", "crun", "youki", "/usr/sbin/runc", "/opt/a b/crun", "runc-1.5.3", "crun_1.28",
        "/x/youki-v0.7.0", "runc1.1", "docker-runc"}) {
    EXPECT_EQ(knows(binary, root), Knows::yes) << binary;
    EXPECT_EQ(knows(binary, directory.path()), Knows::no) << binary;
    EXPECT_EQ(knows(binary, directory / "none"), Knows::no) << binary;
  }
  for (const char* binary : {"runsc", "/usr/bin/kata-runtime", "nvidia-container-runtime", "runcx",
                             "runc-wrapper", "crun-vm", "krun", "my-runc", "", "/runc/"})
    EXPECT_EQ(knows(binary, root), Knows::unknown) << binary;
}

TEST(RuntimesLayout, IsUnknownWhereItCannotBeSeen) {
  const test::TempDir directory;
  const std::string loop = directory / "loop";
  ASSERT_EQ(::symlink("loop", loop.c_str()), 0);
  EXPECT_EQ(knows("runc", loop), Knows::unknown);
}

class RuntimeErrors : public testing::Test {
 protected:
  Runtime runtime(const std::string& binary) {
    Runtime::Settings settings;
    settings.binary = binary;
    settings.root = directory_.path();
    settings.bundle = directory_.path();
    return Runtime(reaper_, settings);
  }
  std::string error_of_create(const std::string& binary) {
    Runtime called = runtime(binary);
    Runtime::Create options;
    options.bundle = directory_.path();
    options.log = log_;
    options.start.pid_file.path = directory_ / "init.pid";
    return error_of(called.create("c1", options));
  }
  std::string error_of(Task<> call) {
    try {
      loop_.run(std::move(call));
    } catch (const Error& error) {
      return error.what();
    }
    return "success";
  }
  std::string script(const std::string& commands) {
    const std::string path = directory_ / "runtime";
    write_file(path, "#!/bin/sh\n" + commands + "\n", 0700);
    return path;
  }

  const test::TempDir directory_;
  const std::string log_ = directory_ / "log.json";
  Loop loop_;
  Reaper reaper_{loop_};
};

// The stock shim's words (containerd, process/init.go, runtimeError).
TEST_F(RuntimeErrors, OfCreateNameTheLogThatCannotBeRead) {
  const std::string unreadable =
      "OCI runtime create failed: unable to retrieve OCI runtime error "
      "(open " +
      log_ + ": no such file or directory): ";
  EXPECT_EQ(error_of_create("no-such-runtime"),
            unreadable + "exec: \"no-such-runtime\": executable file not found in $PATH");
  EXPECT_EQ(error_of_create("/nowhere/runc"),
            unreadable + "fork/exec /nowhere/runc: no such file or directory");
  const std::string silent = script("exit 3");
  EXPECT_EQ(error_of_create(silent),
            unreadable + silent + " did not terminate successfully: exit status 3");
}

TEST_F(RuntimeErrors, DoNotNameALogThatIsEmpty) {
  const std::string silent = script("echo text >&2; : > " + log_ + "; kill -9 $$");
  EXPECT_EQ(error_of_create(silent),
            "OCI runtime create failed: " + silent +
                " did not terminate successfully: exit status 137 (128 + signal 9)");
  Runtime missing = runtime("no-such-runtime");
  const std::string reason = "exec: \"no-such-runtime\": executable file not found in $PATH";
  EXPECT_EQ(error_of(missing.start("c1")), "OCI runtime start failed: " + reason);
  EXPECT_EQ(error_of(missing.kill("c1", 9, true)), reason);
  EXPECT_EQ(error_of(missing.remove("c1", false)), "failed to delete task: " + reason);
}

TEST_F(RuntimeErrors, QuoteTheOutputOfARuntimeWithoutALog) {
  const std::string noisy = script("echo usage: none; exit 2");
  Runtime called = runtime(noisy);
  EXPECT_EQ(error_of(called.pause("c1")), "OCI runtime pause failed: " + noisy +
                                              " did not terminate successfully: exit status 2: "
                                              "usage: none");
}

}  // namespace
}  // namespace thinshim
