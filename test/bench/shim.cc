// SPDX-License-Identifier: Apache-2.0
#include "bench/shim.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "bench/costs.h"

namespace thinshim::bench {
namespace {

std::string path_of(const std::string& answer) {
  const std::string scheme = "unix://";
  if (answer.rfind(scheme, 0) != 0) throw Error::unknown("no address: " + answer);
  return answer.substr(scheme.size());
}

}  // namespace

Fd open_process(pid_t pid) {
  return Fd(check(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), "open a process"));
}

void wait_for_end(const Fd& process) {
  pollfd watched{process.get(), POLLIN, 0};
  if (check(::poll(&watched, 1, static_cast<int>(kLimit.count())), "poll") == 0)
    throw Error(Code::deadline_exceeded, "a process does not end");
}

const char* const kTrueProcess =
    R"({"user":{"uid":0,"gid":0},"cwd":"/","env":["PATH=/bin"],"args":["/bin/true"]})";

void run_exec(Shim& shim, const std::string& id, const std::string& exec) {
  shim.exec(id, exec, kTrueProcess);
  Waiter waiter = shim.wait(id, exec);
  shim.start_process(id, exec);
  waiter.finish();
  shim.remove(id, exec);
}

Shim::Shim(Place& place, const std::string& answer)
    : place_(&place),
      socket_(path_of(answer)),
      client_(std::make_unique<Client>(place.ground().loop, socket_)) {}

Shim Shim::start(Place& place, const std::string& id, const Words& arguments) {
  place.make_bundle(id, arguments);
  return Shim(place, place.start(id).output);
}

api::CreateTaskRequest Shim::create_request(const std::string& id, const Stdio& stdio) const {
  api::CreateTaskRequest request;
  request.set_id(id);
  request.set_bundle(place_->bundle(id));
  request.set_stdout(stdio.out);
  request.set_stderr(stdio.error);
  request.set_terminal(stdio.terminal);
  *request.mutable_options() = place_->options();
  auto& rootfs = *request.add_rootfs();
  rootfs.set_type("bind");
  rootfs.set_source(place_->rootfs());
  rootfs.add_options("rbind");
  rootfs.add_options("ro");
  return request;
}

void Shim::create(const std::string& id, const Stdio& stdio) {
  call<api::CreateTaskResponse>("Create", create_request(id, stdio));
}

pid_t Shim::start_process(const std::string& id, const std::string& exec) {
  return static_cast<pid_t>(
      call<api::StartResponse>("Start", request_for<api::StartRequest>(id, exec)).pid());
}

void Shim::exec(const std::string& id, const std::string& exec, const std::string& process) {
  auto request = request_for<api::ExecProcessRequest>(id, exec);
  request.mutable_spec()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Process");
  request.mutable_spec()->set_value(process);
  call<Empty>("Exec", request);
}

void Shim::remove(const std::string& id, const std::string& exec) {
  call<api::DeleteResponse>("Delete", request_for<api::DeleteRequest>(id, exec));
}

void Shim::state(const std::string& id) {
  call<api::StateResponse>("State", request_for<api::StateRequest>(id, ""));
}

pid_t Shim::run(const std::string& id, const Stdio& stdio) {
  create(id, stdio);
  return start_process(id);
}

void Shim::end_container(const std::string& id, pid_t pid) {
  Waiter waiter = wait(id);
  check(::kill(pid, SIGKILL), "kill a container's process");
  waiter.finish();
  remove(id);
}

pid_t Shim::pid() {
  if (pid_ == 0)
    pid_ = static_cast<pid_t>(
        call<api::ConnectResponse>("Connect", request_for<api::ConnectRequest>("none", ""))
            .shim_pid());
  return pid_;
}

Shim::End Shim::shut_down() {
  const Fd process = open_process(pid());
  const Stopwatch watch;
  try {
    call<Empty>("Shutdown", request_for<api::ShutdownRequest>("", ""));
  } catch (const Error& error) {
    if (error.code() != Code::unavailable) throw;  // it may exit before its answer
  }
  wait_for_end(process);
  const double milliseconds = watch.milliseconds();
  const double own = cpu_milliseconds(pid_);
  int status = 0;
  const double all = cpu_milliseconds(wait_for(pid_, status));
  client_->close();
  return {milliseconds, own, all - own};
}

void Shim::crash() {
  const Fd process = open_process(pid());
  check(::kill(pid_, SIGKILL), "kill a shim");
  wait_for_end(process);
  int status = 0;
  wait_for(pid_, status);
  client_->close();
}

void Shim::end(const std::string& id, pid_t pid) {
  end_container(id, pid);
  shut_down();
  place_->remove(id);
  place_->remove_bundle(id);
}

}  // namespace thinshim::bench
