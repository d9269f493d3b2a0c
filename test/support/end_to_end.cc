// SPDX-License-Identifier: Apache-2.0
#include "support/end_to_end.h"

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "support/busybox.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

World the_world;

std::string next_namespace() {
  static int count = 0;
  return world().name + "-" + std::to_string(++count);
}

fs::path shim_under_test() {
  const char* path = std::getenv("THINSHIM_BINARY");
  if (path == nullptr) throw std::runtime_error("THINSHIM_BINARY must name the shim to test");
  return path;
}

}  // namespace

const World& world() { return the_world; }
void set_world(const World& world) { the_world = world; }

fs::path rootfs() {
  const fs::path root = world().directory / "rootfs";
  if (!fs::exists(root)) make_busybox_tree(root);
  return root;
}

EndToEnd::EndToEnd(const std::string& containerd_log_level)
    : containerd_namespace_(next_namespace()),
      directory_(world().directory / containerd_namespace_),
      containerd_(directory_ / "containerd", shim_under_test(), containerd_log_level),
      ctr_(containerd_.socket(), containerd_namespace_) {}

void EndToEnd::SetUp() {
  containerd_.start();
  leftovers_.emplace(containerd_namespace_,
                     std::vector<fs::path>{containerd_.bundles(containerd_namespace_),
                                           containerd_.work(containerd_namespace_)});
}

void EndToEnd::TearDown() {
  if (!containerd_.running()) containerd_.start();
  std::string left;
  for (const std::string& trace : leftovers_->after({containerd_.pid()})) left += "\n  " + trace;
  EXPECT_TRUE(left.empty()) << "left over:" << left;
  containerd_.stop();
  EXPECT_EQ(containerd_.sanitizer_reports(), "");
  if (HasFailure()) {
    std::cout << "--- log of containerd and its shims\n" << containerd_.log() << "---\n";
    end_everybody_else();
  }
}

Words EndToEnd::run_command(const std::string& id, const Words& command, const Words& flags) const {
  return ctr_.command(Words{"run"} + flags + Words{"--rootfs", rootfs(), id} + command);
}

Words EndToEnd::exec_command(const std::string& id, const Words& command, const Words& flags) {
  const std::string exec_id = "exec-" + std::to_string(++execs_);
  return ctr_.command(Words{"task", "exec", "--exec-id", exec_id} + flags + Words{id} + command);
}

Outcome EndToEnd::run(const std::string& id, const Words& command, const Words& flags,
                      const std::string& input) {
  SubprocessOptions options;
  options.input = input;
  return test::run(run_command(id, command, Words{"--rm"} + flags), std::move(options));
}

void EndToEnd::run_detached(const std::string& id, const Words& command, const Words& flags) {
  const Outcome outcome = test::run(run_command(id, command, Words{"--detach"} + flags));
  ASSERT_TRUE(outcome.ok()) << outcome;
}

Outcome EndToEnd::exec(const std::string& id, const Words& command, const Words& flags,
                       const std::string& input) {
  SubprocessOptions options;
  options.input = input;
  return test::run(exec_command(id, command, flags), std::move(options));
}

namespace {

struct TaskLine {
  std::string id;
  pid_t pid = -1;
  std::string status;
};

TaskLine task_line(const Ctr& ctr, const std::string& id) {
  std::istringstream lines(ctr({"task", "ls"}).out);
  for (std::string line; std::getline(lines, line);) {
    TaskLine task;
    if (std::istringstream(line) >> task.id >> task.pid >> task.status && task.id == id)
      return task;
  }
  return {};
}

}  // namespace

std::string EndToEnd::status(const std::string& id) const { return task_line(ctr_, id).status; }
pid_t EndToEnd::init_pid(const std::string& id) const { return task_line(ctr_, id).pid; }

bool EndToEnd::has_status(const std::string& id, const std::string& wanted) const {
  return eventually([&] { return status(id) == wanted; });
}

void EndToEnd::remove(const std::string& id) {
  if (status(id) == "RUNNING") ctr_({"task", "kill", "--signal", "SIGKILL", "--all", id});
  if (!status(id).empty()) {
    EXPECT_TRUE(has_status(id, "STOPPED")) << status(id);
    const Outcome deleted = ctr_({"task", "delete", id});
    EXPECT_TRUE(deleted.ok()) << deleted;
  }
  const Outcome removed = ctr_({"container", "delete", id});
  EXPECT_TRUE(removed.ok()) << removed;
}

Process EndToEnd::only_shim() const {
  const std::vector<Process> shims = shims_of_namespace(containerd_namespace_);
  EXPECT_EQ(shims.size(), 1u);
  return shims.empty() ? Process() : shims[0];
}

::testing::AssertionResult EndToEnd::has_open_files(pid_t pid,
                                                    const std::vector<std::string>& files) const {
  std::vector<std::string> now;
  if (eventually([&] { return (now = open_files(pid)).size() <= files.size(); }))
    return ::testing::AssertionSuccess();
  auto result = ::testing::AssertionFailure()
                << files.size() << " open files before, now " << now.size() << ":\n";
  for (const std::string& file : now) result << "  " << file << "\n";
  return result;
}

fs::path EndToEnd::shared() const {
  fs::create_directories(directory_ / "shared");
  return directory_ / "shared";
}

Words EndToEnd::share() const {
  return {"--mount", "type=bind,src=" + shared().string() + ",dst=/shared,options=rbind:rw"};
}

}  // namespace thinshim::test
