// SPDX-License-Identifier: Apache-2.0
#include "support/shim_under_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

#include "bootstrap.pb.h"
#include "support/cgroups.h"
#include "support/event_line.h"
#include "support/unix_socket.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

std::string next_namespace() {
  static int count = 0;
  return world().name + "-" + std::to_string(++count);
}

fs::path shim_binary() {
  const char* path = std::getenv("THINSHIM_BINARY");
  if (path == nullptr) throw std::runtime_error("THINSHIM_BINARY must name the shim to test");
  return path;
}

std::string quoted(const std::string& text) {
  std::string json = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + "\"";
}

std::string quoted(const Words& words) {
  std::string json = "[";
  for (const std::string& word : words) json += (json.size() > 1 ? "," : "") + quoted(word);
  return json + "]";
}

}  // namespace

ShimTest::ShimTest()
    : namespace_(next_namespace()),
      directory_(world().directory / namespace_),
      bundles_(directory_ / "bundles"),
      binary_(shim_binary()) {
  fs::create_directories(bundles_);
  rootfs();
  // runc creates it with the namespace's first container and leaves it.
  fs::create_directories("/run/containerd/runc/" + namespace_);
}

void ShimTest::SetUp() {
  leftovers_.emplace(namespace_);
  serve_events();
}

void ShimTest::serve_events() {
  events_.emplace(loop_);
  events_->add("containerd.services.events.ttrpc.v1.Events", "Forward", *this, &ShimTest::forward);
  serving_.spawn(events_->serve(listen_at(directory_ / "events.sock")), "serve");
}

void ShimTest::stop_events() {
  serving_.cancel();
  if (events_) loop_.run(events_->drain(std::chrono::seconds(1)));
  events_.reset();
  fs::remove(directory_ / "events.sock");
}

void ShimTest::TearDown() {
  std::string left;
  for (const std::string& trace : leftovers_->after()) left += "\n  " + trace;
  EXPECT_TRUE(left.empty()) << "left over:" << left;
  stop_events();
  EXPECT_EQ(loop_.close(), 0);
  for (const auto& [id, log] : logs_) {
    const std::string text = log_of(id);
    const bool clean = text.find("Sanitizer") == std::string::npos &&
                       text.find("runtime error: ") == std::string::npos;
    EXPECT_TRUE(clean);
    if (HasFailure()) std::cout << "--- log of " << id << "\n" << text << "---\n";
  }
  if (HasFailure()) end_everybody_else();
}

std::string ShimTest::log_of(const std::string& id) {
  std::string& text = logs_[id].text;
  char chunk[4096];
  for (ssize_t n; (n = ::read(logs_[id].fifo.get(), chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
  return text;
}

void ShimTest::make_bundle(const std::string& id, const ContainerConfig& config) {
  fs::create_directories(bundle(id) / "rootfs");
  if (!logs_[id].fifo) {
    check(::mkfifo((bundle(id) / "log").c_str(), 0700), "mkfifo");
    logs_[id].fifo = open_file(bundle(id) / "log", O_RDWR | O_NONBLOCK);  // as containerd does
  }
  std::string annotations;
  for (const auto& [key, value] : config.annotations)
    annotations += (annotations.empty() ? "" : ",") + quoted(key) + ":" + quoted(value);
  std::string namespaces = R"({"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"})";
  if (config.own_pid_namespace) namespaces += R"(,{"type":"pid"})";
  std::string mappings;
  if (config.first_host_id != 0) {
    namespaces += R"(,{"type":"user"})";
    for (const char* kind : {"uid", "gid"})
      mappings += R"(,")" + std::string(kind) + R"(Mappings":[{"containerID":0,"hostID":)" +
                  std::to_string(config.first_host_id) + R"(,"size":65536}])";
  }
  const std::string own = systemd_makes_cgroups() ? "system.slice:" + namespace_ + ":" + id
                                                  : "/" + namespace_ + "/" + id;
  const std::string& group = config.cgroups_path.empty() ? own : config.cgroups_path;
  std::string cgroups_path;
  if (may_make_cgroups()) cgroups_path = R"("cgroupsPath":)" + quoted(group) + ",";
  const std::string root = config.rootfs.empty() ? rootfs().string() : config.rootfs;
  std::ofstream(bundle(id) / "config.json")
      << R"({"ociVersion":"1.0.2","process":{"terminal":)" << (config.terminal ? "true" : "false")
      << R"(,"user":{"uid":0,"gid":0},"args":)" << quoted(config.args)
      << R"(,"env":["PATH=/bin","TERM=xterm"],"cwd":"/"},"root":{"path":)" << quoted(root)
      << R"(},"hostname":"box","annotations":{)" << annotations << R"(},"mounts":[)"
      << R"({"destination":"/proc","type":"proc","source":"proc"},)"
      << R"({"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["mode=755"]},)"
      << R"({"destination":"/dev/pts","type":"devpts","source":"devpts",)"
      << R"("options":["newinstance","ptmxmode=0666","mode=0620"]}],"linux":{)" << cgroups_path
      << R"("namespaces":[)" << namespaces << "]" << mappings << "}}";
}

std::string ShimTest::read(const fs::path& file) const {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

Words ShimTest::command(const std::string& id, const Words& more) const {
  return Words{binary_,           "-namespace", namespace_, "-address", grpc_address(),
               "-publish-binary", "/bin/false", "-id",      id} +
         more;
}

SubprocessOptions ShimTest::surroundings(const std::string& id) const {
  SubprocessOptions options;
  options.directory = bundle(id);
  options.environment = {"TTRPC_ADDRESS=" + (directory_ / "events.sock").string(),
                         "MAX_SHIM_VERSION=2", "GRPC_ADDRESS=" + grpc_address().string(),
                         "NAMESPACE=" + namespace_};
  return options;
}

Outcome ShimTest::start(const std::string& id, const std::string& input, const Words& flags) {
  SubprocessOptions options = surroundings(id);
  options.input = input;
  return test::run(command(id, flags + Words{"start"}), std::move(options));
}

Outcome ShimTest::cleanup(const std::string& id) {
  SubprocessOptions options = surroundings(id);
  options.directory = "/";
  return test::run(command(id, {"-bundle", bundle(id), "delete"}), std::move(options));
}

std::string ShimTest::bootstrap_params(const std::string& id, int log_level,
                                       const std::string& socket_directory) const {
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  params.set_instance_id(id);
  params.set_namespace_(namespace_);
  params.set_log_level(static_cast<containerd::runtime::bootstrap::v1::LogLevel>(log_level));
  params.set_containerd_version("v2.3.0");
  params.set_containerd_ttrpc_address(directory_ / "events.sock");
  params.set_containerd_grpc_address(grpc_address());
  params.set_containerd_binary("/bin/false");
  if (!socket_directory.empty()) params.set_socket_dir(socket_directory);
  return params.SerializeAsString();
}

std::unique_ptr<TaskCalls> ShimTest::start_shim(const std::string& id,
                                                const ContainerConfig& config) {
  make_bundle(id, config);
  const Outcome started = start(id);
  if (!started.ok()) throw std::runtime_error("start failed: " + started.out + started.err);
  return connect(started.out);
}

std::unique_ptr<TaskCalls> ShimTest::connect(const std::string& address) {
  const std::string scheme = "unix://";
  if (address.rfind(scheme, 0) != 0) throw std::runtime_error("no address: " + address);
  return std::make_unique<TaskCalls>(loop_, address.substr(scheme.size()));
}

Process ShimTest::only_shim() const {
  // A killed shim may not be gone yet.
  std::vector<Process> shims;
  EXPECT_TRUE(eventually([&] { return (shims = shims_of_namespace(namespace_)).size() == 1; }))
      << shims.size() << " shims";
  return shims.empty() ? Process() : shims[0];
}

void ShimTest::end_shim(TaskCalls& shim) {
  const auto pid = static_cast<pid_t>(shim.end(shim.connect_begin("")).shim_pid());
  shim.shutdown();
  shim.until([&] { return process(pid).parent < 0; });
}

api::CreateTaskRequest ShimTest::create_request(const std::string& id) const {
  api::CreateTaskRequest request;
  request.set_id(id);
  request.set_bundle(bundle(id));
  if (systemd_makes_cgroups()) {
    containerd::runc::v1::Options options;
    options.set_systemd_cgroup(true);
    set_options(request, options);
  }
  return request;
}

pid_t ShimTest::create(TaskCalls& shim, const std::string& id) {
  return static_cast<pid_t>(shim.end(shim.create_begin(create_request(id))).pid());
}

pid_t ShimTest::run(TaskCalls& shim, const std::string& id) {
  create(shim, id);
  return shim.start(id);
}

api::ExecProcessRequest ShimTest::exec_request(const std::string& id, const std::string& exec_id,
                                               const Words& args, api::ExecProcessRequest request) {
  request.set_id(id);
  request.set_exec_id(exec_id);
  request.mutable_spec()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Process");
  request.mutable_spec()->set_value(R"({"user":{"uid":0,"gid":0},"cwd":"/","env":["PATH=/bin"],)"
                                    R"("args":)" +
                                    quoted(args) + "}");
  return request;
}

void ShimTest::exec(TaskCalls& shim, const std::string& id, const std::string& exec_id,
                    const Words& args, api::ExecProcessRequest request) {
  shim.call<Empty>("Exec", exec_request(id, exec_id, args, std::move(request)));
}

fs::path ShimTest::make_fifo(const std::string& name) const {
  const fs::path path = directory_ / name;
  check(::mkfifo(path.c_str(), 0600), "mkfifo");
  return path;
}

std::string ShimTest::read_all(TaskCalls& shim, int fd) const {
  set_nonblocking(fd, true);
  std::string text;
  shim.until([&] {
    char chunk[65536];
    ssize_t n;
    while ((n = ::read(fd, chunk, sizeof chunk)) > 0)
      text.append(chunk, static_cast<std::size_t>(n));
    return n == 0;
  });
  return text;
}

Lines ShimTest::history() const {
  Lines lines;
  for (const auto& request : forwarded_)
    lines.push_back(event_line(request.envelope().topic(), request.envelope().event().value()));
  return lines;
}

Task<Empty> ShimTest::forward(ForwardRequest request) {
  EXPECT_EQ(request.envelope().namespace_(), namespace_);
  co_await before_event();
  forwarded_.push_back(std::move(request));
  co_return Empty();
}

}  // namespace thinshim::test
