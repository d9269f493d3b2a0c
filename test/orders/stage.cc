// SPDX-License-Identifier: Apache-2.0
#include "orders/stage.h"

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

// Its end takes microseconds, and what comes after must find it dead, as with the kernel's own.
void wait_until_dead(pid_t pid) {
  const std::int64_t begin = real_ms();
  while (!is_zombie_or_gone(pid) && real_ms() - begin < 10'000) ::usleep(20);
}

Fd listen_at_stage(const std::string& path) {
  const sockaddr_un address = test::unix_address(path);
  Fd listener(check(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket"));
  check(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
        "bind");
  check(::listen(listener.get(), 16), "listen");
  return listener;
}

pid_t peer_of(const Fd& socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  check(::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size), "SO_PEERCRED");
  return credentials.pid;
}

}  // namespace

std::string exec_id_of(Who who) {
  return who == Who::init ? "" : "e" + std::to_string(static_cast<int>(who));
}
int own_status_of(Who who) { return 3 + static_cast<int>(who); }

Stage::Stage(Loop& loop, Setting setting, Write write)
    : loop_(loop),
      setting_(std::move(setting)),
      write_(std::move(write)),
      listener_(listen_at_stage(setting_.socket)),
      watch_(loop, listener_.get()),
      still_event_(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      still_watch_(loop, still_event_.get()) {
  hearing_.spawn(accept(), "stage");
  set_judge(this);
}

Stage::~Stage() { set_judge(nullptr); }

std::vector<Stage::Call*> Stage::calls() const {
  std::vector<Call*> standing;
  for (const auto& call : calls_)
    if (call->stands) standing.push_back(call.get());
  return standing;
}

// --- the runtime

Task<> Stage::accept() {
  for (;;) {
    co_await watch_.readable();
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) continue;
    auto call = std::make_shared<Call>();
    call->pid = peer_of(socket);
    call->socket = std::move(socket);
    call->watch.emplace(loop_, call->socket.get());
    calls_.push_back(call);
    hearing_.spawn(hear(std::move(call)), "call");
  }
}

Task<> Stage::hear(std::shared_ptr<Call> call) {
  for (;;) {
    co_await call->watch->readable();
    char packet[4096];
    const ssize_t size = ::recv(call->socket.get(), packet, sizeof packet, 0);
    if (size < 0 && errno == EAGAIN) continue;
    if (size <= 0) break;
    const std::string words(packet, static_cast<std::size_t>(size));
    if (doomed_.count(call->pid) != 0) continue;
    if (call->number == 0) {
      read_arguments(*call, words);
    } else {
      take_made(*call, std::atoi(words.c_str()));
    }
  }
  note_end(*call, "by itself");
  call->watch.reset();
  calls_.remove(call);
}

// At the moment at which its end is certain: when the service hears of it depends on the machine.
void Stage::note_end(Call& call, const std::string& how) {
  call.stands = false;
  if (call.number != 0 && !std::exchange(call.is_over, true))
    write_({.kind = Kind::returned, .number = call.number, .text = how});
}

void Stage::read_arguments(Call& call, const std::string& arguments) {
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
  for (Who who : kExecs)
    if (call.verb == "exec" && call.pid_file.ends_with("/" + exec_id_of(who) + ".pid"))
      call.who = who;
  call.number = ++last_call_;
  call.stands = true;
  write_({.kind = Kind::call,
          .verb = call.verb,
          .who = call.who,
          .number = call.number,
          .text = call.all ? "all" : (call.force ? "force" : "")});
  if (free_) let_return(call);
}

void Stage::tell(Call& call, const std::string& words) {
  call.stands = false;
  ::send(call.socket.get(), words.data(), words.size(), MSG_NOSIGNAL);
}

void Stage::make(Call& call) { tell(call, "make " + std::to_string(own_status_of(call.who))); }

void Stage::take_made(Call& call, pid_t pid) {
  call.stands = true;
  call.has_made = true;
  actors_[static_cast<std::size_t>(call.who)] = Actor{call.who, pid};
  if (call.who == Who::init) {
    ::mkdir(setting_.state.c_str(), 0700);
    bundle_ = call.bundle;
  }
  write_file(call.pid_file, std::to_string(pid), 0644);
  write_({.kind = Kind::made, .who = call.who, .pid = pid});
  // Init's pid namespace is closed, if it died meanwhile.
  if (call.who != Who::init && setting_.own_pid_namespace && !lives(Who::init))
    end(*actors_[static_cast<std::size_t>(call.who)], SIGKILL, 128 + SIGKILL);
  if (call.returns || free_) let_return(call);
}

bool Stage::can_make(const Call& call) const {
  if (call.has_made || (call.verb != "create" && call.verb != "exec")) return false;
  return call.verb == "exec" ? lives(Who::init) : !knows_container();
}

void Stage::let_return(Call& call) {
  if (can_make(call)) {
    call.returns = true;
    return make(call);
  }
  const std::string failure = perform(call);
  if (!failure.empty()) return let_fail(call, failure);
  note_end(call, kSuccess);
  tell(call, "return " + (call.verb == "state" ? state_text() : ""));
}

std::string Stage::state_text() const {
  const char* const status = !lives(Who::init) ? "stopped" : (started_ ? "running" : "created");
  return std::string(R"({"id":")") + kContainer + R"(","bundle":")" + bundle_ + R"(","status":")" +
         status + R"("})";
}

bool Stage::knows_container() const { return ::access(setting_.state.c_str(), F_OK) == 0; }

void Stage::let_fail(Call& call, const std::string& reason) {
  note_end(call, reason);
  tell(call, "fail " + reason);
}

void Stage::kill_call(Call& call) {
  note_end(call, "killed");
  real_kill(call.pid, SIGKILL);
}

std::string Stage::perform(Call& call) {
  if (call.verb == "create") return call.has_made ? "" : "container with given ID already exists";
  if (!knows_container()) return "container does not exist";
  if (call.verb == "exec") return call.has_made ? "" : "cannot exec in a stopped container";
  if (call.verb == "delete") return perform_delete(call);
  if (call.verb == "kill" && setting_.signals == Signals::refused) return "operation not permitted";
  if (call.verb == "kill" && setting_.signals == Signals::lost) return "";
  if (call.verb == "kill" && call.all) {
    end_all();
    return "";
  }
  // What was done before init died is answered all the same.
  if (call.verb == "start") started_ = true;
  if (call.verb != "kill") return "";
  if (!lives(Who::init)) return "container not running";
  end(*actors_[0], SIGKILL, 128 + SIGKILL);
  return "";
}

std::string Stage::perform_delete(const Call& call) {
  if (lives(Who::init) && started_ && !call.force)
    return "cannot delete container c that is not stopped: running";
  const bool can_kill = setting_.signals == Signals::arrive;
  if (lives(Who::init) && !can_kill) return "container init still running";
  // As runc: a cgroup with processes in it cannot be removed.
  const bool has_exec =
      std::any_of(std::begin(kExecs), std::end(kExecs), [this](Who who) { return lives(who); });
  if (has_exec && !can_kill) return "unable to remove container's cgroup: device or resource busy";
  // As runc: who is left in a shared pid namespace ends with the container.
  if (can_kill && (call.force || !setting_.own_pid_namespace))
    end_all();
  else if (lives(Who::init))
    end(*actors_[0], SIGKILL, 128 + SIGKILL);
  ::rmdir(setting_.state.c_str());
  return "";
}

void Stage::free_all() {
  free_ = true;
  setting_.signals = Signals::arrive;
  write_({.kind = Kind::freed});
  for (std::optional<Actor>& actor : actors_)  // SIGKILL waits for who cannot take it
    if (actor && actor->is_doomed) end(*actor, SIGKILL, 128 + SIGKILL);
  for (Call* call : calls()) let_return(*call);
}

// --- the container's processes

void Stage::let_die(Who who) {
  end(*actors_[static_cast<std::size_t>(who)], SIGUSR1, own_status_of(who));
}

// With its pid namespace the kernel kills all others, and init is dead after them.
void Stage::end(Actor& actor, int signal, int status) {
  if (actor.dead) return;
  if (actor.who == Who::init && setting_.own_pid_namespace)
    for (Who who : kExecs)
      if (lives(who)) {
        Actor& exec = *actors_[static_cast<std::size_t>(who)];
        end(exec, SIGKILL, 128 + SIGKILL);
        wait_until_dead(exec.pid);
      }
  actor.dead = true;
  write_({.kind = Kind::died, .who = actor.who, .pid = actor.pid, .status = status});
  real_kill(actor.pid, signal);
  wait_until_dead(actor.pid);
}

void Stage::end_all() {
  for (std::optional<Actor>& actor : actors_)
    if (actor) end(*actor, SIGKILL, 128 + SIGKILL);
}

void Stage::sweep() { end_all(); }

// --- the kernel

int Stage::kill(pid_t pid, int signal) {
  for (std::optional<Actor>& actor : actors_) {
    if (!actor || actor->pid != pid || signal == 0) continue;
    if (setting_.signals == Signals::lost && !actor->dead) {
      actor->is_doomed |= signal == SIGKILL;
      return 0;
    }
    if (setting_.signals == Signals::refused) {
      errno = EPERM;
      return -1;
    }
    if (!actor->dead) end(*actor, signal, 128 + signal);
    return 0;
  }
  // A call may end so before it has said anything; then it is as if it had never been.
  if (signal != 0) doomed_.insert(pid);
  for (const auto& call : calls_)
    if (call->pid == pid && signal != 0) note_end(*call, "given up by the service");
  return real_kill(pid, signal);
}

bool Stage::stands(pid_t pid) const {
  for (const auto& call : calls_)
    if (call->pid == pid) return call->stands;
  for (const std::optional<Actor>& actor : actors_)
    if (actor && actor->pid == pid) return !actor->dead;
  return false;
}

bool Stage::is_busy() {
  for (const auto& call : calls_)
    if (!call->stands) return true;
  for (pid_t pid : own_children())
    if (!stands(pid) && !is_zombie_or_gone(pid)) return true;
  return false;
}

Task<> Stage::still() {
  awaits_stillness_ = true;
  for (std::uint64_t count = 0; ::read(still_event_.get(), &count, sizeof count) < 0;)
    co_await still_watch_.readable();
}

bool Stage::is_still() {
  if (!std::exchange(awaits_stillness_, false)) return false;
  const std::uint64_t one = 1;
  return ::write(still_event_.get(), &one, sizeof one) == sizeof one;
}

void Stage::give_up() {
  std::fprintf(stderr, "orders: something is under way for ever: calls:");
  for (const auto& call : calls_)
    std::fprintf(stderr, " %s (%d%s)", call->verb.c_str(), call->pid, call->stands ? "" : ", busy");
  std::fprintf(stderr, "; children:");
  for (pid_t pid : own_children())
    std::fprintf(stderr, " %d %s", pid, read_proc_file(pid, "stat").value_or("").c_str());
  std::fprintf(stderr, "\n");
  ::_exit(3);
}

}  // namespace thinshim::orders
