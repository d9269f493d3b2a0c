// SPDX-License-Identifier: Apache-2.0
#include "orders/scripted_runtime.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/proc.h"
#include "support/unix_socket.h"

namespace thinshim::orders {
namespace {

bool is_zombie_or_gone(pid_t pid) {
  const std::string stat = read_proc_file(pid, "stat").value_or("");
  const std::string_view state = stat_field(stat, 3);
  return state.empty() || state == "Z" || state == "X";
}

// So that the next step finds the process dead, as after an exit of its own.
void wait_until_dead(pid_t pid) {
  const std::int64_t begin = real_ms();
  while (!is_zombie_or_gone(pid) && real_ms() - begin < 10'000) ::usleep(20);
}

Fd listen_at(const std::string& path) {
  const sockaddr_un address = test::unix_address(path);
  Fd listener(check(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket"));
  check(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
        "bind");
  check(::listen(listener.get(), 16), "listen");
  return listener;
}

pid_t peer_pid(const Fd& socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  check(::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size), "SO_PEERCRED");
  return credentials.pid;
}

}  // namespace

std::string exec_id_of(Role role) {
  return role == Role::init ? "" : "e" + std::to_string(static_cast<int>(role));
}
int exit_status_of(Role role) { return 3 + static_cast<int>(role); }

ScriptedRuntime::ScriptedRuntime(Loop& loop, Settings settings, Write write)
    : loop_(loop),
      settings_(std::move(settings)),
      write_(std::move(write)),
      listener_(listen_at(settings_.socket)),
      watch_(loop, listener_.get()),
      idle_event_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      idle_watch_(loop, idle_event_.get()) {
  connections_.spawn(accept(), "accept");
  set_kernel_hooks(this);
}

ScriptedRuntime::~ScriptedRuntime() { set_kernel_hooks(nullptr); }

std::vector<ScriptedRuntime::Call*> ScriptedRuntime::calls() const {
  std::vector<Call*> blocked;
  for (const auto& call : calls_)
    if (call->is_blocked) blocked.push_back(call.get());
  return blocked;
}

// --- the runtime

Task<> ScriptedRuntime::accept() {
  for (;;) {
    co_await watch_.readable();
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) continue;
    auto call = std::make_shared<Call>();
    call->pid = peer_pid(socket);
    call->socket = std::move(socket);
    call->watch.emplace(loop_, call->socket.get());
    calls_.push_back(call);
    connections_.spawn(serve_call(std::move(call)), "call");
  }
}

Task<> ScriptedRuntime::serve_call(std::shared_ptr<Call> call) {
  for (;;) {
    co_await call->watch->readable();
    char packet[4096];
    const ssize_t size = ::recv(call->socket.get(), packet, sizeof packet, 0);
    if (size < 0 && errno == EAGAIN) continue;
    if (size <= 0) break;
    const std::string words(packet, static_cast<std::size_t>(size));
    if (killed_calls_.count(call->pid) != 0) continue;
    if (call->number == 0) {
      read_arguments(*call, words);
    } else {
      on_process_created(*call, std::atoi(words.c_str()));
    }
  }
  record_end(*call, "by itself");
  call->watch.reset();
  calls_.remove(call);
}

// Recorded when the end is certain; when the service notices it depends on the machine.
void ScriptedRuntime::record_end(Call& call, const std::string& how) {
  call.is_blocked = false;
  if (call.number != 0 && !std::exchange(call.has_ended, true))
    write_({.kind = Kind::returned, .number = call.number, .text = how});
}

void ScriptedRuntime::read_arguments(Call& call, const std::string& arguments) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < arguments.size();) {
    const std::size_t end = arguments.find('\0', begin);
    words.push_back(arguments.substr(begin, end - begin));
    begin = end + 1;
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--root" || word == "--log" || word == "--log-format" || word == "--process") {
      ++i;
    } else if (word == "--bundle") {
      call.bundle = words[++i];
    } else if (word == "--pid-file") {
      call.pid_file = words[++i];
    } else if (word == "--all") {
      call.all = true;
    } else if (word == "--force") {
      call.force = true;
    } else if (word.rfind("--", 0) != 0 && call.verb.empty()) {
      call.verb = word;
    }
  }
  for (Role role : kExecs)
    if (call.verb == "exec" && call.pid_file.ends_with("/" + exec_id_of(role) + ".pid"))
      call.role = role;
  call.number = ++last_call_;
  call.is_blocked = true;
  write_({.kind = Kind::call,
          .verb = call.verb,
          .role = call.role,
          .number = call.number,
          .text = call.all ? "all" : (call.force ? "force" : "")});
  if (unblocked_) succeed(call);
}

void ScriptedRuntime::send(Call& call, const std::string& command) {
  call.is_blocked = false;
  ::send(call.socket.get(), command.data(), command.size(), MSG_NOSIGNAL);
}

void ScriptedRuntime::create_process(Call& call) {
  send(call, "create " + std::to_string(exit_status_of(call.role)));
}

void ScriptedRuntime::on_process_created(Call& call, pid_t pid) {
  call.is_blocked = true;
  call.has_created = true;
  processes_[static_cast<std::size_t>(call.role)] = Process{call.role, pid};
  if (call.role == Role::init) {
    ::mkdir(settings_.state.c_str(), 0700);
    bundle_ = call.bundle;
  }
  write_file(call.pid_file, std::to_string(pid), 0644);
  write_({.kind = Kind::process_created, .role = call.role, .pid = pid});
  // If init died meanwhile, the kernel kills the exec with its pid namespace.
  if (call.role != Role::init && settings_.own_pid_namespace && !is_alive(Role::init))
    end(*processes_[static_cast<std::size_t>(call.role)], SIGKILL, 128 + SIGKILL);
  if (call.succeeds_next || unblocked_) succeed(call);
}

bool ScriptedRuntime::can_create(const Call& call) const {
  if (call.has_created || (call.verb != "create" && call.verb != "exec")) return false;
  return call.verb == "exec" ? is_alive(Role::init) : !has_container();
}

void ScriptedRuntime::succeed(Call& call) {
  if (can_create(call)) {
    call.succeeds_next = true;
    return create_process(call);
  }
  const std::string failure = perform(call);
  if (!failure.empty()) return fail(call, failure);
  record_end(call, kSuccess);
  send(call, "return " + (call.verb == "state" ? state_text() : ""));
}

std::string ScriptedRuntime::state_text() const {
  const char* const status = !is_alive(Role::init) ? "stopped" : (started_ ? "running" : "created");
  return std::string(R"({"id":")") + kContainer + R"(","bundle":")" + bundle_ + R"(","status":")" +
         status + R"("})";
}

bool ScriptedRuntime::has_container() const { return ::access(settings_.state.c_str(), F_OK) == 0; }

void ScriptedRuntime::fail(Call& call, const std::string& reason) {
  record_end(call, reason);
  send(call, "fail " + reason);
}

void ScriptedRuntime::kill_call(Call& call) {
  record_end(call, "killed");
  real_kill(call.pid, SIGKILL);
}

std::string ScriptedRuntime::perform(Call& call) {
  if (call.verb == "create")
    return call.has_created ? "" : "container with given ID already exists";
  if (!has_container()) return "container does not exist";
  if (call.verb == "exec") return call.has_created ? "" : "cannot exec in a stopped container";
  if (call.verb == "delete") return perform_delete(call);
  if (call.verb == "kill" && settings_.signals == Signals::refused)
    return "operation not permitted";
  if (call.verb == "kill" && settings_.signals == Signals::lost) return "";
  if (call.verb == "kill" && call.all) {
    kill_all();
    return "";
  }
  // These succeed even if init is dead, as if they had finished before its death.
  if (call.verb == "start") started_ = true;
  if (call.verb != "kill") return "";
  if (!is_alive(Role::init)) return "container not running";
  end(*processes_[0], SIGKILL, 128 + SIGKILL);
  return "";
}

std::string ScriptedRuntime::perform_delete(const Call& call) {
  if (is_alive(Role::init) && started_ && !call.force)
    return "cannot delete container c that is not stopped: running";
  const bool can_kill = settings_.signals == Signals::delivered;
  if (is_alive(Role::init) && !can_kill) return "container init still running";
  // As runc: a cgroup with processes cannot be removed.
  const bool has_exec = std::any_of(std::begin(kExecs), std::end(kExecs),
                                    [this](Role role) { return is_alive(role); });
  if (has_exec && !can_kill) return "unable to remove container's cgroup: device or resource busy";
  // As runc: kills the rest of a shared pid namespace.
  if (can_kill && (call.force || !settings_.own_pid_namespace))
    kill_all();
  else if (is_alive(Role::init))
    end(*processes_[0], SIGKILL, 128 + SIGKILL);
  ::rmdir(settings_.state.c_str());
  return "";
}

void ScriptedRuntime::unblock_all() {
  unblocked_ = true;
  settings_.signals = Signals::delivered;
  write_({.kind = Kind::unblocked});
  for (std::optional<Process>& process : processes_)
    if (process && process->has_pending_sigkill) end(*process, SIGKILL, 128 + SIGKILL);
  for (Call* call : calls()) succeed(*call);
}

// --- the container's processes

void ScriptedRuntime::end_process(Role role) {
  end(*processes_[static_cast<std::size_t>(role)], SIGUSR1, exit_status_of(role));
}

// The kernel kills the other processes of init's pid namespace before init is dead.
void ScriptedRuntime::end(Process& process, int signal, int status) {
  if (process.dead) return;
  if (process.role == Role::init && settings_.own_pid_namespace)
    for (Role role : kExecs)
      if (is_alive(role)) {
        Process& exec = *processes_[static_cast<std::size_t>(role)];
        end(exec, SIGKILL, 128 + SIGKILL);
        wait_until_dead(exec.pid);
      }
  process.dead = true;
  write_({.kind = Kind::process_died, .role = process.role, .pid = process.pid, .status = status});
  real_kill(process.pid, signal);
  wait_until_dead(process.pid);
}

void ScriptedRuntime::kill_all() {
  for (std::optional<Process>& process : processes_)
    if (process) end(*process, SIGKILL, 128 + SIGKILL);
}

// --- the kernel

int ScriptedRuntime::kill(pid_t pid, int signal) {
  for (std::optional<Process>& process : processes_) {
    if (!process || process->pid != pid || signal == 0) continue;
    if (settings_.signals == Signals::lost && !process->dead) {
      process->has_pending_sigkill |= signal == SIGKILL;
      return 0;
    }
    if (settings_.signals == Signals::refused) {
      errno = EPERM;
      return -1;
    }
    if (!process->dead) end(*process, signal, 128 + signal);
    return 0;
  }
  // A call that the service kills before it has sent its arguments is not recorded.
  if (signal != 0) killed_calls_.insert(pid);
  for (const auto& call : calls_)
    if (call->pid == pid && signal != 0) record_end(*call, "killed by the service");
  return real_kill(pid, signal);
}

bool ScriptedRuntime::is_waiting(pid_t pid) const {
  for (const auto& call : calls_)
    if (call->pid == pid) return call->is_blocked;
  for (const std::optional<Process>& process : processes_)
    if (process && process->pid == pid) return !process->dead;
  return false;
}

bool ScriptedRuntime::is_busy() {
  for (const auto& call : calls_)
    if (!call->is_blocked) return true;
  for (pid_t pid : own_children())
    if (!is_waiting(pid) && !is_zombie_or_gone(pid)) return true;
  return false;
}

Task<> ScriptedRuntime::wait_until_idle() {
  awaits_idle_ = true;
  for (std::uint64_t count = 0; ::read(idle_event_.get(), &count, sizeof count) < 0;)
    co_await idle_watch_.readable();
}

bool ScriptedRuntime::on_idle() {
  if (!std::exchange(awaits_idle_, false)) return false;
  const std::uint64_t one = 1;
  return ::write(idle_event_.get(), &one, sizeof one) == sizeof one;
}

void ScriptedRuntime::on_stuck() {
  std::fprintf(stderr, "orders: stuck: calls:");
  for (const auto& call : calls_)
    std::fprintf(stderr, " %s (%d%s)", call->verb.c_str(), call->pid,
                 call->is_blocked ? "" : ", busy");
  std::fprintf(stderr, "; children:");
  for (pid_t pid : own_children())
    std::fprintf(stderr, " %d %s", pid, read_proc_file(pid, "stat").value_or("").c_str());
  std::fprintf(stderr, "\n");
  ::_exit(3);
}

}  // namespace thinshim::orders
