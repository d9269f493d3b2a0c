// SPDX-License-Identifier: Apache-2.0
// A program that plays runc as fast as a process can be made, for tests that need many: containers
// and execs are plain processes of this machine, each in a session of its own, with runc's order of
// things. What they run says the first of their args:
//
//   exit N      ends at once with this status
//   signal N    ends at once by this signal
//   write N     writes N kilobytes to stdout, a line of 100 bytes after the other, and ends
//   sleep       stays until it is killed
//
// Anything else is a program, by its path. `kill --all` reaches the first process only. It knows no
// pause, update or checkpoint.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "oci/json.h"

namespace {

using thinshim::JsonPath;
using thinshim::JsonValue;

struct Call {
  std::string root, log, bundle, pid_file, process, console_socket, verb, id, signal;
  bool force = false;
  std::string state() const { return root + "/" + id; }
};
Call call;

[[noreturn]] void fail(const std::string& reason) {
  const int fd = ::open(call.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  dprintf(fd < 0 ? 2 : fd,
          R"({"level":"error","msg":"%s","time":"2026-01-01T00:00:00Z"})"
          "\n",
          reason.c_str());
  ::_exit(1);
}
[[noreturn]] void fail_of(const std::string& what) { fail(what + ": " + std::strerror(errno)); }

std::string read_file(const std::string& path) {
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_of("open " + path);
  char chunk[65536];
  for (ssize_t n; (n = ::read(fd, chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
  ::close(fd);
  return text;
}

void write_file(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    fail_of("write " + path);
  ::close(fd);
}

struct Program {
  std::vector<std::string> args;
  bool terminal = false;
};

// `place` links to the process.
class ProgramVisitor final : public thinshim::JsonVisitor {
 public:
  explicit ProgramVisitor(const JsonPath& place) : args_(place), terminal_(place) {
    args_.insert(args_.end(), {"args", "*"});
    terminal_.push_back("terminal");
  }
  Program program;

  Step value(const JsonPath& path, const JsonValue& value) override {
    if (path == args_) program.args.emplace_back(value.text);
    if (path == terminal_) program.terminal = value.text == "true";
    const bool elsewhere = path.size() == 1 && path[0] != args_[0] && path[0] != terminal_[0];
    return elsewhere ? Step::skip : Step::go_on;
  }

 private:
  JsonPath args_, terminal_;
};

Program read_program(const std::string& file, const JsonPath& place) {
  ProgramVisitor visitor(place);
  try {
    thinshim::visit_json(read_file(file), visitor);
  } catch (const std::exception& error) {
    fail(error.what());
  }
  if (visitor.program.args.empty()) fail("process has no args");
  return visitor.program;
}

void write_lines(long kilobytes) {
  std::string block;
  while (block.size() < 1000) block += std::string(99, 'x') + "\n";
  for (long i = 0; i < kilobytes; ++i)
    if (::write(1, block.data(), block.size()) < 0) ::_exit(1);
}

[[noreturn]] void run(const Program& program) {
  const std::string& name = program.args.at(0);
  const long number = program.args.size() > 1 ? std::atol(program.args[1].c_str()) : 0;
  if (name == "exit") ::_exit(static_cast<int>(number));
  if (name == "signal") ::kill(::getpid(), static_cast<int>(number));
  if (name == "sleep")
    while (true) ::pause();
  if (name == "write") {
    write_lines(number);
    ::_exit(0);
  }
  std::vector<char*> args;
  for (const std::string& arg : program.args) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  ::execv(args[0], args.data());
  ::_exit(127);
}

// Sends the master to the listener of the socket, and uses the terminal as 0 to 2.
void take_terminal() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || ::unlockpt(master) < 0) fail_of("open a terminal");
  const char* name = ::ptsname(master);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, call.console_socket.c_str(), sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    fail_of("connect to the console socket");
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof master)] = {};
  iovec data = {const_cast<char*>(name), std::strlen(name)};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof master);
  std::memcpy(CMSG_DATA(header), &master, sizeof master);
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) fail_of("send the terminal");
  const int terminal = ::open(name, O_RDWR);  // that of the session
  for (int fd = 0; fd < 3; ++fd) ::dup2(terminal, fd);
}

// Creates a process that waits until its pid file is written: a runtime that is killed before that
// leaves no process. `before` runs in it before its program; it has no other descriptors.
template <class Before>
class Launch {
 public:
  Launch(const Program& program, Before before) {
    if (::pipe2(written_down_, O_CLOEXEC) < 0) fail_of("pipe");
    pid_ = ::fork();
    if (pid_ < 0) fail_of("fork");
    if (pid_ > 0) return;
    ::setsid();
    if (program.terminal) take_terminal();
    ::close(written_down_[1]);
    char byte;
    if (::read(written_down_[0], &byte, 1) != 1) ::_exit(1);
    ::closefrom(3);
    before();
    run(program);
  }
  std::string pid() const { return std::to_string(pid_); }
  void go_on() const { [[maybe_unused]] const ssize_t n = ::write(written_down_[1], "", 1); }

 private:
  int written_down_[2];
  pid_t pid_;
};

pid_t init_pid() {
  if (::access(call.state().c_str(), F_OK) != 0) fail("container does not exist");
  return static_cast<pid_t>(std::atol(read_file(call.state() + "/pid").c_str()));
}

bool is_alive(pid_t pid) {
  const int fd = ::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[256] = {};
  const ssize_t size = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  const char* const name_end = size > 0 ? std::strrchr(text, ')') : nullptr;
  return name_end != nullptr && name_end[2] != 'Z';
}

void create() {
  const Program program = read_program(call.bundle + "/config.json", {"process"});
  ::mkdir(call.root.c_str(), 0711);
  if (::mkdir(call.state().c_str(), 0700) < 0)
    errno == EEXIST ? fail("container with given ID already exists") : fail_of("mkdir");
  const std::string gate = call.state() + "/start";
  if (::mkfifo(gate.c_str(), 0600) < 0) fail_of("mkfifo");
  const Launch process(program, [&] { ::close(::open(gate.c_str(), O_WRONLY)); });
  write_file(call.state() + "/bundle", call.bundle);
  write_file(call.state() + "/pid", process.pid());
  write_file(call.pid_file, process.pid());
  process.go_on();
}

// Opening the gate lets the process continue; a dead process opens nothing.
void start() {
  const pid_t pid = init_pid();
  if (!is_alive(pid)) fail("cannot start a container that has stopped");
  const std::string gate = call.state() + "/start";
  if (::open(gate.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC) < 0)
    fail("cannot start an already running container");
  ::unlink(gate.c_str());
}

void exec() {
  if (!is_alive(init_pid())) fail("cannot exec in a stopped container");
  const Launch launched(read_program(call.process, {}), [] {});
  write_file(call.pid_file, launched.pid());
  launched.go_on();
}

void kill_init() {
  const pid_t pid = init_pid();
  if (!is_alive(pid) || ::kill(pid, std::atoi(call.signal.c_str())) < 0)
    fail("container not running");
}

// Also removes what a runtime has left that was killed before it wrote the process's file.
void remove() {
  const bool unfinished = call.force && ::access(call.state().c_str(), F_OK) == 0 &&
                          ::access((call.state() + "/pid").c_str(), F_OK) != 0;
  const pid_t pid = unfinished ? 0 : init_pid();
  if (pid > 0 && is_alive(pid)) {
    if (!call.force && ::access((call.state() + "/start").c_str(), F_OK) != 0)
      fail("cannot delete container " + call.id + " that is not stopped: running");
    ::kill(pid, SIGKILL);
  }
  for (const char* file : {"/start", "/bundle", "/pid"}) ::unlink((call.state() + file).c_str());
  if (::rmdir(call.state().c_str()) < 0) fail_of("remove " + call.state());
}

void print_state() {
  const pid_t pid = init_pid();
  const bool created = ::access((call.state() + "/start").c_str(), F_OK) == 0;
  ::printf(R"({"id":"%s","pid":%d,"bundle":"%s","status":"%s"})"
           "\n",
           call.id.c_str(), static_cast<int>(pid), read_file(call.state() + "/bundle").c_str(),
           !is_alive(pid) ? "stopped"
           : created      ? "created"
                          : "running");
  ::fflush(stdout);
}

void parse(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
    if (flag == "--root")
      call.root = value();
    else if (flag == "--log")
      call.log = value();
    else if (flag == "--log-format")
      value();
    else if (flag == "--bundle")
      call.bundle = value();
    else if (flag == "--pid-file")
      call.pid_file = value();
    else if (flag == "--process")
      call.process = value();
    else if (flag == "--console-socket")
      call.console_socket = value();
    else if (flag == "--force")
      call.force = true;
    else if (flag.rfind("--", 0) != 0)
      words.push_back(flag);
  }
  words.resize(3);
  call.verb = words[0];
  call.id = words[1];
  call.signal = words[2];
}

}  // namespace

int main(int argc, char** argv) {
  parse(argc, argv);
  const struct {
    const char* name;
    void (*run)();
  } verbs[] = {{"create", create},  {"start", start},   {"exec", exec},
               {"kill", kill_init}, {"delete", remove}, {"state", print_state}};
  for (const auto& verb : verbs)
    if (call.verb == verb.name) {
      verb.run();
      ::_exit(0);
    }
  fail("no such verb: " + call.verb);
}
