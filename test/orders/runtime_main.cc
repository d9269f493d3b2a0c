// SPDX-License-Identifier: Apache-2.0
// The process of a call of ScriptedRuntime: sends its arguments to the socket $ORDERS_SOCKET, each
// followed by a NUL byte, then executes the commands that it receives. Each message is a packet:
//
//   "create N"    creates a process that exits with status N on SIGUSR1; sends its pid
//   "return TEXT" prints the text and exits with 0
//   "fail WORDS"  writes the error to its log and exits with 1
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

// The handler is set before the fork, so that it is there for the first signal.
pid_t create_process(int status) {
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
  const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    ::_exit(2);
  return socket;
}

void send_message(int socket, const std::string& words) {
  if (::send(socket, words.data(), words.size(), MSG_NOSIGNAL) < 0) ::_exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const char* const path = std::getenv("ORDERS_SOCKET");
  if (path == nullptr) return 2;
  const int socket = connect_to(path);
  const char* log = "/dev/null";
  std::string arguments;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--log") == 0 && i + 1 < argc) log = argv[i + 1];
    arguments += argv[i];
    arguments += '\0';
  }
  send_message(socket, arguments);
  char words[256];
  for (;;) {
    const ssize_t size = ::recv(socket, words, sizeof words - 1, 0);
    if (size <= 0) ::_exit(2);
    words[size] = '\0';
    if (std::strncmp(words, "create ", 7) == 0)
      send_message(socket, std::to_string(create_process(std::atoi(words + 7))));
    if (std::strncmp(words, "return ", 7) == 0) succeed(words + 7);
    if (std::strncmp(words, "fail ", 5) == 0) fail(log, words + 5);
  }
}
