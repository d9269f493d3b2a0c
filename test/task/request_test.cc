// SPDX-License-Identifier: Apache-2.0
// Invalid requests, and Shutdown.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/file.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;
class Request : public TaskTest {
 protected:
  std::set<std::string> files_of(const std::string& place) const {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(place))
      files.insert(entry.path().string());
    return files;
  }
};

const char* const kBadIds[] = {"",   ".",  "..",   "../c1", "a/b",  "/a",   "a b", "a..b", "-a",
                               ".a", "a-", "a\nb", "\xff",  "a\"b", "a\\b", "_a",  "a--b", "a;b"};

TEST_F(Request, WithABadContainerIdIsRefusedAndLeavesNoTrace) {
  make_bundle("c1");
  const auto before = files_of(directory.path());
  for (std::string id : kBadIds) {
    if (id == "\xff") continue;  // protobuf itself refuses it
    api::CreateTaskRequest request = create_request("c1");
    request.set_id(id);
    Error error = refusal_of(create_begin(request));
    EXPECT_EQ(error.code(), Code::invalid_argument) << id;
    EXPECT_TRUE(contains(error, "container id")) << error.what();
  }
  api::CreateTaskRequest request = create_request("c1");
  request.set_id(std::string(77, 'a'));
  EXPECT_EQ(refusal_of(create_begin(request)).code(), Code::invalid_argument);
  EXPECT_EQ(files_of(directory.path()), before);
  EXPECT_EQ(runtime.calls(), Lines());

  request.set_id(std::string(76, 'a'));
  EXPECT_NE(end(create_begin(request)).pid(), 0u);
  remove(request.id());
}

TEST_F(Request, WithABadExecIdIsRefusedAndLeavesNoTrace) {
  run("c1");
  const auto before = files_of(directory.path());
  for (std::string id : kBadIds) {
    if (id == "\xff") continue;
    Error error = refusal_of(exec_begin("c1", id, "true"));
    EXPECT_EQ(error.code(), Code::invalid_argument) << id;
    EXPECT_TRUE(contains(error, "exec id")) << error.what();
  }
  EXPECT_EQ(refusal_of(exec_begin("c1", std::string(77, 'a'), "true")).code(),
            Code::invalid_argument);
  Error error = refusal_of(exec_begin("c1", "init", "true"));
  EXPECT_EQ(error.code(), Code::invalid_argument) << "init.pid is taken";
  error = refusal_of(exec_begin("c1", "c1", "true"));
  EXPECT_EQ(error.code(), Code::invalid_argument) << "an exit of c1 in c1 is that of init";
  error = refusal_of(exec_begin("c1", "c1", "true"));
  EXPECT_EQ(error.code(), Code::invalid_argument) << "its exit would be the container's";
  EXPECT_EQ(files_of(directory.path()), before);
  EXPECT_EQ(sink.count(kTopicExecAdded), 0u);
  end_container("c1");
}

TEST_F(Request, WithABadProcessIsRefused) {
  run("c1");
  for (const char* process : {"", "nonsense", "[]", "7", "null", "{\"args\":", "{} {}", "\"x\""}) {
    api::ExecProcessRequest request;
    request.set_id("c1");
    request.set_exec_id("e1");
    request.mutable_spec()->set_value(process);
    EXPECT_EQ(refusal_of(begin<Empty>("Exec", request)).code(), Code::invalid_argument) << process;
  }
  EXPECT_EQ(sink.count(kTopicExecAdded), 0u);
  exec("c1", "e1", "true") /* the id is not taken by them */;
  end_container("c1");
}

TEST_F(Request, WithoutABundleIsRefused) {
  api::CreateTaskRequest request = create_request("c1");
  EXPECT_TRUE(contains(refusal_of(create_begin(request)), "no such file or directory"));
  for (const char* bundle : {"", "c1", "./c1", "../c1"}) {
    request.set_bundle(bundle);
    Error error = refusal_of(create_begin(request));
    EXPECT_EQ(error.code(), Code::invalid_argument) << bundle;
    EXPECT_TRUE(contains(error, "is not an absolute path")) << error.what();
  }
  request.set_bundle(directory / "file");
  std::ofstream(request.bundle()) << "not a directory";
  EXPECT_EQ(refusal_of(create_begin(request)).code(), Code::unknown);
  EXPECT_EQ(runtime.calls(), Lines());
  EXPECT_EQ(sink.history(), Lines());
}

// The path would end there, and files be written to another bundle, or to none.
TEST_F(Request, WithANulByteInAPathIsRefusedAndLeavesNoTrace) {
  make_bundle("c1");
  run("c2");
  const auto before = files_of(directory.path());
  const std::string cut = directory / "c1" + std::string("\0x", 2);
  const Lines calls_before = runtime.calls();
  for (int field = 0; field < 6; ++field) {
    api::CreateTaskRequest request = create_request("c1");
    std::string* const paths[] = {
        request.mutable_bundle(),     request.mutable_stdin(),
        request.mutable_stdout(),     request.mutable_stderr(),
        request.mutable_checkpoint(), request.mutable_parent_checkpoint()};
    *paths[field] = cut;
    Error error = refusal_of(create_begin(request));
    EXPECT_EQ(error.code(), Code::invalid_argument) << field;
    EXPECT_TRUE(contains(error, " contains a NUL byte")) << error.what();
  }
  api::ExecProcessRequest exec;
  exec.set_id("c2");
  exec.set_exec_id("e1");
  exec.set_stdout(cut);
  exec.mutable_spec()->set_value("{}");
  EXPECT_TRUE(contains(refusal_of(begin<Empty>("Exec", exec)), " contains a NUL byte"));
  containerd::runc::v1::CheckpointOptions work, spaces;
  work.set_work_path(cut);
  spaces.add_empty_namespaces(cut);
  for (const auto& call : {checkpoint_begin("c2", cut), checkpoint_begin("c2", "/x", work),
                           checkpoint_begin("c2", "/x", spaces)})
    EXPECT_TRUE(contains(refusal_of(call), " contains a NUL byte"));
  EXPECT_EQ(files_of(directory.path()), before);
  EXPECT_EQ(runtime.calls(), calls_before);
  end_container("c2");
}

TEST_F(Request, WithABadConfigIsRefusedBeforeAnythingIsDone) {
  const std::string bundle = make_bundle("c1");
  api::CreateTaskRequest request = request_with_mount("c1");
  for (const char* config : {"", "{", "[]", "nonsense", "{\"linux\":7}"}) {
    std::ofstream(bundle + "/config.json") << config;
    Error error = refusal_of(create_begin(request));
    EXPECT_TRUE(contains(error, "config.json")) << error.what();
  }
  fs::remove(bundle + "/config.json");
  Error error = refusal_of(create_begin(request));
  EXPECT_TRUE(contains(error, "config.json: no such file or directory")) << error.what();
  EXPECT_EQ(runtime.calls(), Lines());
  EXPECT_EQ(mounts(), Lines());
  make_bundle("c1");
  create("c1");
  remove("c1");
}

TEST_F(Request, WithAnUnknownMethodIsUnimplemented) {
  Error error = refusal_of(begin<Empty>("Nonsense", api::StateRequest()));
  EXPECT_EQ(error.code(), Code::unimplemented);
  EXPECT_STREQ(error.what(), "method Nonsense");
}

TEST_F(Request, IsServedUnderBothVersionsNames) {
  run("c1");
  api::StateRequest request;
  request.set_id("c1");
  for (const char* name : {"containerd.task.v2.Task", "containerd.task.v3.Task"}) {
    auto response = await(client.call<api::StateResponse>(name, "State", request, 10s));
    EXPECT_EQ(response.status(), types::RUNNING);
  }
  for (const char* name : {"containerd.task.v1.Task", "containerd.task.v4.Task", "Task", ""}) {
    Code code = Code::ok;
    try {
      await(client.call<api::StateResponse>(name, "State", request, 10s));
    } catch (const Error& error) {
      code = error.code();
    }
    EXPECT_EQ(code, Code::unimplemented) << name;
  }
  end_container("c1");
}

// --- Shutdown

TEST_F(Request, ToShutDownIsExecutedAtOnceWithoutContainers) {
  shutdown();
  EXPECT_EQ(shutdowns, 1);
}

TEST_F(Request, ToShutDownIsRememberedUntilTheLastContainerIsDeleted) {
  run("c1");
  run("c2");
  exec("c1", "e1", "true");
  shutdown();
  remove("c1", "e1");
  EXPECT_EQ(shutdowns, 0);
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  end_container("c1");
  EXPECT_EQ(shutdowns, 0);
  end_container("c2");
  EXPECT_EQ(shutdowns, 0) << "the answer must arrive before the connection closes";
  until([&] { return shutdowns == 1; });
}

TEST_F(Request, ToShutDownThatIsRememberedNeedNotBeWaitedFor) {
  run("c1");
  shutdown();
  end_container("c1");
  shutdown();
  EXPECT_EQ(shutdowns, 1);
}

TEST_F(Request, ToShutDownThatIsRememberedDoesNotEndAContainerThatCameSince) {
  run("c1");
  shutdown();
  end_container("c1");
  run("c2");
  pass(2 * kShutdownDelay);
  EXPECT_EQ(shutdowns, 0);
  end_container("c2");
  until([&] { return shutdowns == 1; });
}

TEST_F(Request, ToShutDownIsNotImpliedByADeletion) {
  run("c1");
  end_container("c1");
  EXPECT_EQ(shutdowns, 0);
}

TEST_F(Request, ToShutDownWaitsForAContainerThatIsBeingCreated) {
  runtime.before("create", runtime.wait_for("create"));
  make_bundle("c1");
  auto creating = create_begin(create_request("c1"));
  until_called("create c1");
  shutdown();
  EXPECT_EQ(shutdowns, 0);
  runtime.open("create");
  end(creating);
  EXPECT_EQ(shutdowns, 0);
  remove("c1");
  until([&] { return shutdowns == 1; });
}

TEST_F(Request, ToShutDownWaitsForAContainerThatIsExpected) {
  api::ConnectRequest request;
  request.set_id("c1");
  await(client.call<Empty>(kStartService, kExpect, request, 0ms));
  shutdown();
  EXPECT_EQ(shutdowns, 0);
  run("c1");
  pass(kExpectTimeout);
  EXPECT_EQ(shutdowns, 0);
  end_container("c1");
  until([&] { return shutdowns == 1; });
}

TEST_F(Request, ToShutDownWaitsOnlySoLongForAContainerThatDoesNotCome) {
  api::ConnectRequest request;
  request.set_id("c1");
  const std::uint64_t began = loop.now();
  await(client.call<Empty>(kStartService, kExpect, request, 0ms));
  shutdown();
  until([&] { return shutdowns == 1; });
  EXPECT_GE(std::chrono::milliseconds(loop.now() - began), kExpectTimeout);
}

// The runtime hangs, containerd times out, and its `delete` cleans up after the shim's exit.
TEST_F(Request, ToShutDownDoesNotWaitForACreateWhoseClientHasDisconnected) {
  runtime.before("create", runtime.wait_for("create"));
  make_bundle("c1");
  auto other = another_client();
  auto creating = create_begin(create_request("c1"), other.get());
  until_called("create c1");
  shutdown();
  EXPECT_EQ(shutdowns, 0);
  other->close();
  until([&] { return shutdowns == 1; });
  runtime.open("create");
  until([&] { return sink.count(kTopicDelete) == 1; });
}

TEST_F(Request, ToShutDownIsExecutedWhenTheLastCreateFails) {
  runtime.before("create", runtime.wait_for("create") + "; fail no");
  make_bundle("c1");
  auto creating = create_begin(create_request("c1"));
  until_called("create c1");
  shutdown();
  runtime.open("create");
  EXPECT_REFUSED(creating, unknown, "OCI runtime create failed: no");
  until([&] { return shutdowns == 1; });
}

}  // namespace
}  // namespace thinshim::test
