// SPDX-License-Identifier: Apache-2.0
// The OCI runtime of the targets; test/support/fake_runtime.h is too slow. Its containers are
// processes that wait for a signal, with their pids in a file ROOT/ID. An exec whose process
// contains "exit" exits at once. Its input is untrusted: it writes no other file, and runs no
// program, which test/support/fast_runtime_main.cc would.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

struct Call {
  const char* verb = "";
  const char* root = "";
  const char* pid_file = nullptr;
  const char* process = nullptr;
  const char* words[2] = {"", ""};  // the id, a signal
  int count = 0;
  bool console = false;
};

bool is(const char* word, const char* name) { return std::strcmp(word, name) == 0; }

Call parse(int argc, char** argv) {
  static const char* const kValues[] = {"--log",         "--log-format", "--bundle",
                                        "--resources",   "--image-path", "--work-path",
                                        "--parent-path", "--empty-ns",   "--manage-cgroups-mode"};
  Call call;
  for (int i = 1; i < argc; ++i) {
    const char* next = i + 1 < argc ? argv[i + 1] : "";
    bool has_value = is(argv[i], "--root") || is(argv[i], "--pid-file") ||
                     is(argv[i], "--process") || is(argv[i], "--console-socket");
    for (const char* name : kValues) has_value = has_value || is(argv[i], name);
    if (is(argv[i], "--root")) call.root = next;
    if (is(argv[i], "--pid-file")) call.pid_file = next;
    if (is(argv[i], "--process")) call.process = next;
    if (is(argv[i], "--console-socket")) call.console = true;
    if (has_value)
      ++i;
    else if (argv[i][0] == '-')
      continue;
    else if (!*call.verb)
      call.verb = argv[i];
    else if (call.count < 2)
      call.words[call.count++] = argv[i];
  }
  return call;
}

[[noreturn]] void fail(const char* reason) {
  std::fprintf(stderr, "%s\n", reason);
  std::exit(1);
}

bool exits_at_once(const char* process) {
  char text[4096] = "";
  if (std::FILE* file = process ? std::fopen(process, "r") : nullptr)
    text[std::fread(text, 1, sizeof text - 1, file)] = '\0';
  return std::strstr(text, "exit") != nullptr;
}

void launch(const Call& call, const char* state, const char* mode) {
  const bool short_lived = exits_at_once(call.process);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (short_lived) ::_exit(7);
    for (;;) ::pause();
  }
  for (const char* name : {static_cast<const char*>(state), call.pid_file}) {
    std::FILE* file = name ? std::fopen(name, name == state ? mode : "w") : nullptr;
    if (!file) fail("cannot write");
    std::fprintf(file, "%d\n", pid);
    std::fclose(file);
  }
}

// Returns whether there was a process.
bool signal_all(const char* state, int number) {
  std::FILE* file = std::fopen(state, "r");
  if (!file) fail("container does not exist");
  bool reached = false;
  for (int pid; std::fscanf(file, "%d", &pid) == 1;)
    reached = (pid > 1 && ::kill(pid, number) == 0) || reached;
  std::fclose(file);
  return reached;
}

}  // namespace

int main(int argc, char** argv) {
  const Call call = parse(argc, argv);
  char state[512];
  std::snprintf(state, sizeof state, "%s/%s", call.root, call.words[0]);
  const bool exists = ::access(state, F_OK) == 0;
  if (call.console) fail("no terminal is supported");
  if (is(call.verb, "create") || is(call.verb, "restore")) {
    if (exists) fail("container with given ID already exists");
    launch(call, state, "w");
  } else if (!exists) {
    fail("container does not exist");
  } else if (is(call.verb, "exec")) {
    launch(call, state, "a");
  } else if (is(call.verb, "kill")) {
    if (!signal_all(state, std::atoi(call.words[1]))) fail("container not running");
  } else if (is(call.verb, "delete")) {
    signal_all(state, SIGKILL);
    ::unlink(state);
  }
  return 0;
}
