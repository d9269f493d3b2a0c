// SPDX-License-Identifier: Apache-2.0
// A runtime that does nothing of its own: it says at the socket $ORDERS_STAGE how it was called,
// and then does what it is told (stage.h). Each message is a packet:
//
//   its arguments, each behind a NUL byte     what it says first
//   "make N"      makes a process, which stays until it is killed, or ends with status N at
//   SIGUSR1;
//                 says its pid
//   "return TEXT" ends with success, having printed the text
//   "fail WORDS"  ends with an error, which goes to the log that it was given
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

int exit_code = 0;

[[noreturn]] void be_process() {
  ::setsid();
  ::close_range(0, ~0u, 0);
  for (;;) ::pause();
}

// By a handler from before the fork, so that no signal comes too early for it.
pid_t make(int status) {
  exit_code = status;
  ::signal(SIGUSR1, [](int) { ::_exit(exit_code); });
  const pid_t pid = ::fork();
  if (pid == 0) be_process();
  ::signal(SIGUSR1, SIG_DFL);
  return pid;
}

[[noreturn]] void succeed(const char* text) {
  ::dprintf(1, "%s", text);
  ::_exit(0);
}

[[noreturn]] void fail(const char* log, const char* reason) {
  const int fd = ::open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dprintf(fd, R"({"level":"error","msg":"%s","time":"2026-01-01T00:00:00Z"})", reason);
  ::_exit(1);
}

int connect_to(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int stage = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (::connect(stage, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) ::_exit(2);
  return stage;
}

void say(int stage, const std::string& words) {
  if (::send(stage, words.data(), words.size(), MSG_NOSIGNAL) < 0) ::_exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const char* const path = std::getenv("ORDERS_STAGE");
  if (path == nullptr) return 2;
  const int stage = connect_to(path);
  const char* log = "/dev/null";
  std::string arguments;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--log") == 0 && i + 1 < argc) log = argv[i + 1];
    arguments += argv[i];
    arguments += '\0';
  }
  say(stage, arguments);
  char words[256];
  for (;;) {
    const ssize_t size = ::recv(stage, words, sizeof words - 1, 0);
    if (size <= 0) ::_exit(2);
    words[size] = '\0';
    if (std::strncmp(words, "make ", 5) == 0)
      say(stage, std::to_string(make(std::atoi(words + 5))));
    if (std::strncmp(words, "return ", 7) == 0) succeed(words + 7);
    if (std::strncmp(words, "fail ", 5) == 0) fail(log, words + 5);
  }
}
