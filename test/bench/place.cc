// SPDX-License-Identifier: Apache-2.0
#include "bench/place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "bench/costs.h"
#include "runc_options.pb.h"

namespace thinshim::bench {
namespace {

namespace fs = std::filesystem;

std::string next_namespace(const Ground& ground) {
  static int count = 0;
  return ground.name + "-" + std::to_string(++count);
}

std::string list(const Words& words) {
  std::string json;
  for (const std::string& word : words) json += (json.empty() ? "\"" : ",\"") + word + "\"";
  return "[" + json + "]";
}

std::string mount_of(const std::string& target, const std::string& type, const Words& options) {
  return R"({"destination":")" + target + R"(","type":")" + type + R"(","source":")" + type +
         R"(","options":)" + list(options) + "}";
}

// The config.json of `ctr run`, without the network namespace: in a pod that exists once, and is
// created by another process.
std::string config_json(const std::string& cgroup, const Words& arguments, bool terminal,
                        const std::string& group) {
  const std::string capabilities = list({"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_KILL",
                                         "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"});
  const Words quiet = {"nosuid", "noexec", "nodev"};
  return R"({"ociVersion":"1.0.2","process":{"terminal":)" +
         std::string(terminal ? "true" : "false") + R"(,"user":{"uid":0,"gid":0},"args":)" +
         list(arguments) + R"(,"env":["PATH=/bin","TERM=xterm"],"cwd":"/","capabilities":{)" +
         R"("bounding":)" + capabilities + R"(,"effective":)" + capabilities + R"(,"permitted":)" +
         capabilities + R"(},"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}],)" +
         R"("noNewPrivileges":true},"root":{"path":"rootfs"},"hostname":"box","mounts":[)" +
         mount_of("/proc", "proc", quiet) + "," +
         mount_of("/dev", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}) + "," +
         mount_of("/dev/pts", "devpts",
                  {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}) +
         "," +
         mount_of("/dev/shm", "tmpfs", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}) +
         "," + mount_of("/dev/mqueue", "mqueue", quiet) + "," +
         mount_of("/sys", "sysfs", {"nosuid", "noexec", "nodev", "ro"}) + R"(],"annotations":{)" +
         (group.empty() ? "" : R"("io.kubernetes.cri.sandbox-id":")" + group + "\"") +
         R"(},"linux":{"cgroupsPath":")" + cgroup +
         R"(","resources":{"devices":[{"allow":false,"access":"rwm"}]},"namespaces":[)" +
         R"({"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}],)" +
         R"("maskedPaths":["/proc/acpi","/proc/kcore","/proc/keys","/sys/firmware"],)" +
         R"("readonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys"]}})";
}

// Reads until the other end closes.
std::string read_to_end(int fd) {
  std::string text;
  char chunk[4096];
  for (ssize_t size; (size = ::read(fd, chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<std::size_t>(size));
  return text;
}

void expect_success(const std::string& what, int status, const std::string& output) {
  if (status != 0)
    throw Error::unknown(what + " failed with status " + std::to_string(status) + ": " + output);
}

}  // namespace

rusage wait_for(pid_t pid, int& status) {
  rusage usage{};
  while (::wait4(pid, &status, 0, &usage) < 0)
    if (errno != EINTR) throw_errno("wait for " + std::to_string(pid));
  return usage;
}

void reap_orphans() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

Place::Place(const Ground& ground, const Peer& peer)
    : ground_(ground),
      peer_(peer),
      namespace_(next_namespace(ground)),
      directory_(ground.directory / namespace_),
      leftovers_(namespace_, {directory_ / "runtime" / namespace_}) {
  fs::create_directories(directory_ / "runtime" / namespace_);
}

void Place::expect_nothing_left() {
  reap_orphans();
  std::string left;
  for (const std::string& trace : leftovers_.after({ground_.events.pid()})) left += "\n  " + trace;
  if (!left.empty()) throw Error::unknown(peer_.name + " has left" + left);
  logs_.clear();
  fs::remove_all(directory_);
}

void Place::make_bundle(const std::string& id, const Words& arguments, bool terminal,
                        const std::string& group) {
  fs::create_directories(bundle(id) / "rootfs");
  const fs::path log = bundle(id) / "log";
  check(::mkfifo(log.c_str(), 0700), "make a fifo");
  logs_[id] = open_file(log, O_RDWR | O_NONBLOCK);  // as containerd does
  std::ofstream(bundle(id) / "config.json")
      << config_json("/" + namespace_ + "/" + id, arguments, terminal, group);
}

void Place::remove_bundle(const std::string& id) {
  logs_.erase(id);
  fs::remove_all(bundle(id));
}

wire::Any Place::options() const {
  containerd::runc::v1::Options options;
  options.set_binary_name(peer_.runtime);
  options.set_root(directory_ / "runtime");
  wire::Any any;
  any.set_type_url(options.GetTypeName());
  any.set_value(options.SerializeAsString());
  return any;
}

Command Place::shim_command(const std::string& id, const Words& more) const {
  const std::string containerd = ground_.directory / "containerd.sock";
  Command command;
  command.program = peer_.shim;
  command.arguments = {"-namespace",      namespace_,   "-address", containerd,
                       "-publish-binary", "/bin/false", "-id",      id};
  command.arguments.insert(command.arguments.end(), more.begin(), more.end());
  command.environment = inherited_environment({"TTRPC_ADDRESS", "GOMAXPROCS"});
  command.environment.push_back("TTRPC_ADDRESS=" + ground_.events.path());
  command.environment.push_back("GOMAXPROCS=2");  // as containerd sets it
  command.own_group = true;
  return command;
}

Place::Starting Place::begin_start(const std::string& id) const {
  Pipe input = make_pipe();
  const std::string text = options().SerializeAsString();
  check(::write(input.write.get(), text.data(), text.size()), "write the options");
  input.write.reset();
  Pipe answer = make_pipe();
  Command command = shim_command(id, {"start"});
  command.directory = bundle(id);
  command.fds = {input.read.get(), answer.write.get(), answer.write.get()};
  const pid_t pid = start_command(command).pid();
  return {pid, std::move(answer.read)};
}

Run Place::end_start(Starting starting) const {
  Run run;
  run.output = read_to_end(starting.answer.get());
  int status = 0;
  run.cpu = cpu_milliseconds(wait_for(starting.pid, status));
  expect_success(peer_.name + " start", status, run.output);
  return run;
}

Run Place::start(const std::string& id) const {
  const Stopwatch watch;
  Run run = end_start(begin_start(id));
  run.milliseconds = watch.milliseconds();
  return run;
}

Run Place::remove(const std::string& id) const {
  Pipe output = make_pipe();
  Command command = shim_command(id, {"-bundle", bundle(id), "delete"});
  command.directory = bundle(id);
  command.fds = {-1, output.write.get(), -1};
  const Stopwatch watch;
  const pid_t pid = start_command(command).pid();
  output.write.reset();
  Run run;
  run.output = read_to_end(output.read.get());
  int status = 0;
  const rusage usage = wait_for(pid, status);
  run.milliseconds = watch.milliseconds();
  run.cpu = cpu_milliseconds(usage);
  expect_success(peer_.name + " delete", status, run.output);
  return run;
}

Run Place::runtime(const Words& arguments) const {
  Command command;
  command.program = peer_.runtime;
  command.arguments = {"--root",       directory_ / "runtime" / namespace_,
                       "--log",        directory_ / "runtime.json",
                       "--log-format", "json"};
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  command.environment = inherited_environment();
  const Stopwatch watch;
  const pid_t pid = start_command(command).pid();
  int status = 0;
  const rusage usage = wait_for(pid, status);
  const double milliseconds = watch.milliseconds();
  if (status != 0) {
    const std::string log = read_file(directory_ / "runtime.json").value_or("");
    expect_success(peer_.runtime + " " + arguments[0], status, log);
  }
  return {milliseconds, cpu_milliseconds(usage), ""};
}

}  // namespace thinshim::bench
