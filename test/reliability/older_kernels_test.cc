// SPDX-License-Identifier: Apache-2.0
// Whole lives without the system calls that are newer than Linux 4.18: an old kernel answers
// ENOSYS; the seccomp filter of a container engine that contains the shim answers EPERM.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <vector>

#include "reliability/fault_calls.h"
#include "reliability/fault_life.h"
#include "support/older_kernel.h"

namespace thinshim::test {
namespace {

class OlderKernels : public FaultLifeTest {
 protected:
  // The runtime is looked up in PATH, as most are.
  void SetUp() override {
    FaultLifeTest::SetUp();
    const std::filesystem::path runtime = fast_runtime();
    runtime_ = runtime.filename();
    path_ = std::getenv("PATH");
    ::setenv("PATH", (runtime.parent_path().string() + ":" + path_).c_str(), 1);
  }
  void TearDown() override {
    FaultLifeTest::TearDown();
    ::setenv("PATH", path_.c_str(), 1);
  }

  static Words without(long call, int errnum) {
    return {built_program("reliability/older_kernel"), std::to_string(errnum),
            std::to_string(call)};
  }

  // All that a shim does for one container and for a pod, and `delete` after its crash.
  std::vector<Life> lives() {
    return {live(std::nullopt), join(std::nullopt), die(std::nullopt),
            delete_beside("job", std::nullopt), die_as_pod(std::nullopt)};
  }

  void expect_lives_go_well(long call, int errnum) {
    wrapper_ = without(call, errnum);
    for (const Life& life : lives())
      EXPECT_EQ(life.errors, Lines()) << life.title << ", call " << call << ", errno " << errnum;
  }

  std::set<long> newer_calls_of_lives() {
    std::set<long> numbers;
    for (const Life& life : lives())
      for (const auto& [key, count] : life.report.counts) {
        const long number = number_of_call(key.second);
        if (number > kNewestOfLinux418) numbers.insert(number);
        const bool is_known = number >= 0 || is_sanitized();  // sanitizers make calls of their own
        EXPECT_TRUE(is_known) << key.second << ": see fault_calls.cc";
      }
    return numbers;
  }

 private:
  std::string path_;
};

TEST_F(OlderKernels, OfLinux418SufficeForWholeLives) {
  for (int errnum : {ENOSYS, EPERM}) expect_lives_go_well(kAllNewerCalls, errnum);
  EXPECT_EQ(problems(), Lines());
}

TEST_F(OlderKernels, MayLackAnyOneOfTheNewerCalls) {
  const std::set<long> calls = newer_calls_of_lives();
  EXPECT_EQ(calls.count(SYS_close_range), 1u) << "the tracer sees nothing";
  for (long call : calls)
    for (int errnum : {ENOSYS, EPERM}) expect_lives_go_well(call, errnum);
  EXPECT_EQ(problems(), Lines());
}

TEST_F(OlderKernels, LeaveNoDescriptorOfTheCallerInTheServer) {
  const Fd inherited(::fcntl(open_file("/etc/passwd", O_RDONLY).get(), F_DUPFD, 50));
  for (int errnum : {ENOSYS, EPERM}) {
    empty_bundle("c1");
    const Outcome started =
        test::run(without(kAllNewerCalls, errnum) + command("c1", {"start"}), surroundings("c1"));
    ASSERT_TRUE(started.ok()) << started;
    const std::unique_ptr<TaskCalls> shim = connect(started.out);
    // It has answered, so it has started.
    const auto pid = static_cast<pid_t>(shim->end(shim->connect_begin("")).shim_pid());
    for (const std::string& file : open_files(pid))
      EXPECT_EQ(file.find("passwd"), std::string::npos) << file;
    end_shim(*shim);
    cleanup("c1");
  }
}

}  // namespace
}  // namespace thinshim::test
