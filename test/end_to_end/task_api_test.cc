// SPDX-License-Identifier: Apache-2.0
// The Task API on real containers, where `ctr` cannot test it.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "runc_options.pb.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class TaskApi : public ShimTest {
 protected:
  static bool is_alive(pid_t pid) { return process(pid).parent >= 0 && process(pid).state != 'Z'; }
  void until_told(TaskCalls& shim, const std::string& line) {
    shim.until([&] {
      const Lines lines = history();
      return std::find(lines.begin(), lines.end(), line) != lines.end();
    });
  }
  // Waits until the server has read all requests of disconnected clients, and runs none of them.
  void until_alone(TaskCalls& shim) {
    const auto pid = static_cast<pid_t>(shim.end(shim.connect_begin("")).shim_pid());
    std::string report;
    shim.until([&] {
      const std::size_t before = log_of("c1").size();
      ::kill(pid, SIGUSR1);
      shim.until([&] {
        const std::string log = log_of("c1");
        const std::size_t begin = log.find("{\"pid\":", before);
        const std::size_t end = log.find('\n', begin);
        if (end != std::string::npos) report = log.substr(begin, end - begin);
        return end != std::string::npos;
      });
      return report.find(R"("being_created":0,"clients":1,)") != std::string::npos;
    });
  }
};

TEST_F(TaskApi, IsServedUnderBothNames) {
  auto shim = start_shim("c1");
  for (const char* name : {"containerd.task.v2.Task", "containerd.task.v3.Task"}) {
    shim->service = name;
    const pid_t pid = run(*shim, "c1");
    EXPECT_TRUE(is_alive(pid));
    EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
    shim->end_container("c1");
  }
  shim->service = "containerd.task.v4.Task";
  EXPECT_REFUSED_BY(*shim, shim->state_begin("c1"), unimplemented,
                    "service containerd.task.v4.Task");
  shim->service = "containerd.task.v3.Task";
  EXPECT_REFUSED_BY(*shim, (shim->begin<Empty>("Dance", api::StateRequest())), unimplemented,
                    "method Dance");
  end_shim(*shim);
}

TEST_F(TaskApi, PublishesTheEventsOfALifeInOrder) {
  auto shim = start_shim("c1");
  const pid_t pid = run(*shim, "c1");
  exec(*shim, "c1", "e1", {"/bin/sh", "-c", "exit 7"});
  shim->start("c1", "e1");
  EXPECT_EQ(shim->wait("c1", "e1"), 7u);
  shim->remove("c1", "e1");
  shim->end_container("c1");
  until_told(*shim, "delete c1 137");
  EXPECT_EQ(history(), (Lines{"create c1", "start c1", "exec-added c1 e1", "exec-started c1 e1",
                              "exit c1 e1 7", "exit c1 137", "delete c1 137"}));
  EXPECT_FALSE(is_alive(pid));
  end_shim(*shim);
}

TEST_F(TaskApi, ReturnsTheRuntimesErrors) {
  ContainerConfig config;
  config.args = {"/no/such/program"};
  auto shim = start_shim("c1", config);
  Error error = shim->refusal_of(shim->create_begin(create_request("c1")));
  EXPECT_EQ(error.code(), Code::unknown);
  EXPECT_EQ(std::string(error.what()).rfind("OCI runtime create failed: ", 0), 0u) << error.what();
  EXPECT_TRUE(contains(error, "/no/such/program")) << error.what();
  EXPECT_REFUSED_BY(*shim, shim->state_begin("c1"), not_found, "container not created: not found");
  EXPECT_FALSE(fs::exists("/run/containerd/runc/" + namespace_ + "/c1"));

  make_bundle("c2");
  run(*shim, "c2");
  exec(*shim, "c2", "e1", {"/no/such/program"});
  auto waiting = shim->wait_begin("c2", "e1");
  error = shim->refusal_of(shim->start_begin("c2", "e1"));
  EXPECT_EQ(std::string(error.what()).rfind("OCI runtime exec failed: ", 0), 0u) << error.what();
  EXPECT_TRUE(contains(error, "/no/such/program")) << error.what();
  EXPECT_EQ(shim->end(waiting).exit_status(), 0u);
  shim->remove("c2", "e1");
  shim->end_container("c2");
  until_told(*shim, "delete c2 137");
  EXPECT_EQ(history(),
            (Lines{"create c2", "start c2", "exec-added c2 e1", "exit c2 137", "delete c2 137"}));
  end_shim(*shim);
}

TEST_F(TaskApi, TakesTheRuntimesOptions) {
  auto shim = start_shim("c1");
  containerd::runc::v1::Options options;
  options.set_binary_name("/no/such/runc");
  api::CreateTaskRequest request = create_request("c1");
  request.mutable_options()->set_type_url("containerd.runc.v1.Options");
  request.mutable_options()->set_value(options.SerializeAsString());
  Error error = shim->refusal_of(shim->create_begin(request));
  EXPECT_TRUE(contains(error, "fork/exec /no/such/runc: no such file or directory"))
      << error.what();
  request.mutable_options()->set_type_url("containerd.linux.runc.CreateOptions");
  error = shim->refusal_of(shim->create_begin(request));
  EXPECT_EQ(error.code(), Code::invalid_argument);
  EXPECT_TRUE(contains(error, "containerd.linux.runc.CreateOptions")) << error.what();
  request.mutable_options()->set_type_url("containerd.runc.v1.Options");
  request.mutable_options()->set_value("\xff\xff\xff");
  EXPECT_EQ(shim->refusal_of(shim->create_begin(request)).code(), Code::invalid_argument);
  end_shim(*shim);
}

TEST_F(TaskApi, ListsTheProcesses) {
  ContainerConfig config;
  config.args = {"/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"};
  auto shim = start_shim("c1", config);
  const pid_t init = run(*shim, "c1");
  exec(*shim, "c1", "e1", {"/bin/sleep", "1000"});
  const pid_t pid = shim->start("c1", "e1");
  std::set<std::uint32_t> pids;
  shim->until([&] {
    pids.clear();
    const api::PidsResponse members = shim->end(shim->pids_begin("c1"));
    for (const auto& member : members.processes()) {
      pids.insert(member.pid());
      EXPECT_EQ(member.has_info(), member.pid() == static_cast<std::uint32_t>(pid));
      if (!member.has_info()) continue;
      EXPECT_EQ(member.info().type_url(), "containerd.runc.v1.ProcessDetails");
      containerd::runc::v1::ProcessDetails details;
      EXPECT_TRUE(details.ParseFromString(member.info().value()));
      EXPECT_EQ(details.exec_id(), "e1");
    }
    return pids.size() == 4;
  });
  EXPECT_EQ(pids.count(static_cast<std::uint32_t>(init)), 1u);
  EXPECT_EQ(pids.count(static_cast<std::uint32_t>(pid)), 1u);
  shim->end_container("c1");
  end_shim(*shim);
}

// If Pids were empty, containerd would treat the shim as one that never got its container, and end
// it.
TEST_F(TaskApi, PidsNameADeadInitUntilItIsDeleted) {
  auto shim = start_shim("c1");
  const pid_t init = run(*shim, "c1");
  shim->kill("c1", SIGKILL, "", true);
  shim->wait("c1");
  const api::PidsResponse left = shim->end(shim->pids_begin("c1"));
  ASSERT_EQ(left.processes_size(), 1);
  EXPECT_EQ(left.processes(0).pid(), static_cast<std::uint32_t>(init));
  shim->remove("c1");
  EXPECT_EQ(shim->refusal_of(shim->pids_begin("c1")).code(), Code::not_found);
  end_shim(*shim);
}

TEST_F(TaskApi, KillReachesOneOrAll) {
  auto shim = start_shim("c1");
  const pid_t init = create(*shim, "c1");
  shim->kill("c1", SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u) << "before it was started";
  EXPECT_FALSE(is_alive(init));
  EXPECT_REFUSED_BY(*shim, shim->start_begin("c1"), unknown, "cannot start a stopped process");
  EXPECT_REFUSED_BY(*shim, shim->kill_begin("c1", SIGKILL), not_found,
                    "process already finished: not found");
  shim->remove("c1");

  run(*shim, "c1");
  EXPECT_REFUSED_BY(*shim, shim->remove_begin("c1"), unknown, "cannot delete a running process");
  exec(*shim, "c1", "e1", {"/bin/sleep", "1000"});
  exec(*shim, "c1", "e2", {"/bin/sleep", "1000"});
  shim->start("c1", "e1");
  shim->start("c1", "e2");
  shim->kill("c1", SIGTERM, "e1");
  EXPECT_EQ(shim->wait("c1", "e1"), 143u);
  EXPECT_EQ(shim->state("c1", "e2").status(), types::RUNNING);
  shim->kill("c1", SIGKILL, "", true);
  EXPECT_EQ(shim->wait("c1", "e2"), 137u);
  EXPECT_EQ(shim->wait("c1"), 137u);
  shim->remove("c1");
  end_shim(*shim);
}

// Processes in another container's pid namespace, as in a Kubernetes pod, are not killed by the
// kernel when their init dies.
TEST_F(TaskApi, InitsExitIsTheLastInASharedPidNamespace) {
  ContainerConfig config;
  config.own_pid_namespace = false;
  config.args = {"/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"};
  auto shim = start_shim("c1", config);
  const pid_t init = run(*shim, "c1");
  for (const char* id : {"e1", "e2"}) {
    exec(*shim, "c1", id, {"/bin/sleep", "1000"});
    shim->start("c1", id);
  }
  std::vector<pid_t> pids;
  shim->until([&] {
    pids.clear();
    const api::PidsResponse members = shim->end(shim->pids_begin("c1"));
    for (const auto& member : members.processes()) pids.push_back(static_cast<pid_t>(member.pid()));
    return pids.size() == 5;
  });
  ::kill(init, SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  until_told(*shim, "exit c1 137");
  const Lines lines = history();
  EXPECT_EQ(lines.back(), "exit c1 137");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "exit c1 e1 137"), 1);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "exit c1 e2 137"), 1);
  shim->until([&] { return std::none_of(pids.begin(), pids.end(), is_alive); });
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(TaskApi, InitsExitIsTheLastInAPidNamespaceOfItsOwn) {
  auto shim = start_shim("c1");
  const pid_t init = run(*shim, "c1");
  for (int i = 0; i < 10; ++i) {
    const std::string id = "e" + std::to_string(i);
    exec(*shim, "c1", id, {"/bin/sleep", "1000"});
    shim->start("c1", id);
  }
  exec(*shim, "c1", "late", {"/bin/true"});
  ::kill(init, SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  Error error = shim->refusal_of(shim->start_begin("c1", "late"));
  EXPECT_EQ(error.code(), Code::failed_precondition);
  EXPECT_EQ(error.what(),
            std::string("container c1 init process is not running: failed precondition"));
  shim->remove("c1");
  until_told(*shim, "delete c1 137");
  const Lines lines = history();
  EXPECT_EQ(lines[lines.size() - 2], "exit c1 137");
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) { return line.rfind("exit ", 0) == 0; }),
            11);
  end_shim(*shim);
}

TEST_F(TaskApi, RunsFiftyExecsAtOnce) {
  constexpr int kExecs = 50;
  auto shim = start_shim("c1");
  run(*shim, "c1");
  const std::vector<std::string> files = open_files_at_rest(only_shim().pid);
  std::vector<CallPtr<api::StartResponse>> starting;
  std::vector<CallPtr<api::WaitResponse>> waiting;
  for (int i = 0; i < kExecs; ++i) {
    const std::string id = "e" + std::to_string(i);
    exec(*shim, "c1", id, {"/bin/true"});
    waiting.push_back(shim->wait_begin("c1", id));
    starting.push_back(shim->start_begin("c1", id));
  }
  for (auto& call : starting) EXPECT_NE(shim->end(call).pid(), 0u);
  for (auto& call : waiting) EXPECT_EQ(shim->end(call).exit_status(), 0u);
  for (int i = 0; i < kExecs; ++i) shim->remove("c1", "e" + std::to_string(i));
  shim->until([&] { return history().size() >= 2 + 3 * kExecs; });
  const Lines lines = history();
  for (int i = 0; i < kExecs; ++i) {
    const std::string name = " c1 e" + std::to_string(i);
    const auto at = [&](const std::string& line) {
      return std::find(lines.begin(), lines.end(), line) - lines.begin();
    };
    EXPECT_LT(at("exec-added" + name), at("exec-started" + name));
    EXPECT_LT(at("exec-started" + name), at("exit" + name + " 0"));
    EXPECT_LT(at("exit" + name + " 0"), static_cast<std::ptrdiff_t>(lines.size()));
  }
  std::vector<std::string> now;
  shim->until([&] { return (now = open_files(only_shim().pid)).size() <= files.size(); });
  EXPECT_EQ(now, files);
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_F(TaskApi, ServesTheNextClient) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  const std::string address = read(bundle("c1") / "address");
  auto waiting = shim->wait_begin("c1");
  shim->client.close();
  shim.reset();
  auto second = connect(address);
  auto third = connect(address);
  waiting = third->wait_begin("c1");
  EXPECT_EQ(second->state("c1").status(), types::RUNNING);
  second->kill("c1", SIGKILL);
  EXPECT_EQ(third->end(waiting).exit_status(), 137u);
  third->remove("c1");
  end_shim(*second);
}

TEST_F(TaskApi, FinishesTheCallOfAClientThatDisconnects) {
  auto shim = start_shim("c1");
  const std::string address = read(bundle("c1") / "address");
  for (int i = 0; i < 10; ++i) {
    auto other = connect(address);
    auto creating = other->create_begin(create_request("c1"));
    other->pass(std::chrono::milliseconds(i * 5));
    other->client.close();
    other.reset();
    until_alone(*shim);
    auto state = shim->state_begin("c1");
    shim->until([&] { return state->done.is_set(); });
    if (state->response) shim->remove("c1");
    EXPECT_FALSE(fs::exists("/run/containerd/runc/" + namespace_ + "/c1"));
  }
  end_shim(*shim);
}

TEST_F(TaskApi, DeletesOnceHoweverManyAskForIt) {
  auto shim = start_shim("c1");
  const std::string address = read(bundle("c1") / "address");
  auto other = connect(address);
  run(*shim, "c1");
  shim->kill("c1", SIGTERM, "", true);
  shim->kill("c1", SIGKILL);
  shim->wait("c1");
  auto first = shim->remove_begin("c1");
  auto second = other->remove_begin("c1");
  auto third = shim->remove_begin("c1");
  const api::DeleteResponse removed = shim->end(first);
  for (const auto& call : {second, third}) {
    shim->until([&] { return call->done.is_set(); });
    if (call->error) {
      EXPECT_EQ(call->error->what(), std::string("container not created: not found"));
    } else {
      EXPECT_EQ(call->response->SerializeAsString(), removed.SerializeAsString());
    }
  }
  until_told(*shim, "delete c1 137");
  EXPECT_EQ(history(), (Lines{"create c1", "start c1", "exit c1 137", "delete c1 137"}));
  end_shim(*shim);
}

// containerd sends Shutdown once after every deletion.
TEST_F(TaskApi, ShutdownIsRemembered) {
  ContainerConfig config;
  config.annotations["io.containerd.runc.v2.group"] = "pod";
  auto shim = start_shim("c1", config);
  make_bundle("c2", config);
  ASSERT_TRUE(start("c2").ok());
  run(*shim, "c1");
  run(*shim, "c2");
  const pid_t pid = only_shim().pid;
  shim->end_container("c1");
  shim->shutdown();
  EXPECT_EQ(shim->state("c2").status(), types::RUNNING);
  shim->kill("c2", SIGKILL);
  shim->wait("c2");
  EXPECT_EQ(shim->remove("c2").exit_status(), 137u) << "the last answer still gets out";
  shim->until([&] { return process(pid).parent < 0; });
  EXPECT_EQ(history().back(), "delete c2 137") << "and the last event";
}

TEST_F(TaskApi, AnswersQuestionsWhileTheRuntimeIsBusy) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  // A slow runtime: it waits for the end of file of this fifo.
  const fs::path gate = make_fifo("gate");
  std::ofstream(directory_ / "slow-runc")
      << "#!/bin/sh\ncat " << gate.string() << " >/dev/null\nexec runc \"$@\"\n";
  fs::permissions(directory_ / "slow-runc", fs::perms::owner_all);
  containerd::runc::v1::Options options;
  options.set_binary_name(directory_ / "slow-runc");
  make_bundle("c2");
  api::CreateTaskRequest request = create_request("c2");
  request.mutable_options()->set_type_url("containerd.runc.v1.Options");
  request.mutable_options()->set_value(options.SerializeAsString());
  auto creating = shim->create_begin(request);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
    EXPECT_NE(shim->end(shim->connect_begin("c1")).task_pid(), 0u);
    EXPECT_EQ(shim->end(shim->pids_begin("c1")).processes_size(), 1);
  }
  exec(*shim, "c1", "e1", {"/bin/true"});
  shim->start("c1", "e1");
  EXPECT_EQ(shim->wait("c1", "e1"), 0u);
  EXPECT_FALSE(creating->done.is_set());
  const auto open_gate = [&] { ::close(::open(gate.c_str(), O_WRONLY)); };
  open_gate();
  EXPECT_NE(shim->end(creating).pid(), 0u);
  auto starting = shim->start_begin("c2");
  EXPECT_EQ(shim->state("c2").status(), types::CREATED);
  open_gate();
  shim->end(starting);
  auto killing = shim->kill_begin("c2", SIGKILL);
  open_gate();
  shim->end(killing);
  shim->wait("c2");
  auto removing = shim->remove_begin("c2");
  EXPECT_EQ(shim->state("c2").status(), types::STOPPED);
  open_gate();
  shim->end(removing);
  shim->end_container("c1");
  end_shim(*shim);
}

// The pids and open files are as before, after any number of calls.
TEST_F(TaskApi, LeaksNothing) {
  auto shim = start_shim("c1");
  const fs::path in = make_fifo("in");
  const fs::path out = make_fifo("out");
  const Fd reader = open_file(out, O_RDWR | O_NONBLOCK);
  std::vector<std::string> files;
  for (int round = 0; round < 6; ++round) {
    make_bundle("c1");
    api::CreateTaskRequest request = create_request("c1");
    request.set_stdin(in);
    request.set_stdout(out);
    request.set_stderr(out);
    shim->end(shim->create_begin(request));
    shim->start("c1");
    for (bool terminal : {false, true}) {
      api::ExecProcessRequest process;
      process.set_terminal(terminal);
      process.set_stdin(in);
      process.set_stdout(out);
      exec(*shim, "c1", "e1", {"/bin/true"}, process);
      shim->start("c1", "e1");
      EXPECT_EQ(shim->wait("c1", "e1"), 0u);
      shim->remove("c1", "e1");
      exec(*shim, "c1", "e2", {"/no/such/program"}, process);
      shim->refusal_of(shim->start_begin("c1", "e2"));
      shim->remove("c1", "e2");
    }
    shim->end_container("c1");
    request.set_stdout("/no/such/fifo");
    shim->refusal_of(shim->create_begin(request));
    if (round == 0) files = open_files_at_rest(only_shim().pid);
  }
  std::vector<std::string> now;
  shim->until([&] { return (now = open_files(only_shim().pid)).size() <= files.size(); });
  EXPECT_EQ(now.size(), files.size());
  EXPECT_TRUE(children_of(only_shim().pid).empty());
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
