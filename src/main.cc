// SPDX-License-Identifier: Apache-2.0
// containerd-shim-runc-v2: selects the action.
#include <fcntl.h>
#include <google/protobuf/stubs/logging.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/reserve.h"
#include "process/command_line.h"
#include "shim/arguments.h"
#include "shim/info.h"
#include "shim/remove.h"
#include "shim/server.h"
#include "shim/start.h"
#include "stdio/log_file.h"

namespace thinshim {
namespace {

// The stock shim's limit.
constexpr std::size_t kMaxInput = 10 << 20;

// Opens the standard descriptors that the caller has closed, so that no file opened later gets
// their numbers. Read-only, so that a write fails.
void hold_standard_descriptors() {
  for (int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(standard, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
}

void print(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    ssize_t n = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("write stdout");
    done += static_cast<std::size_t>(n);
  }
}

int act(int count, char** words) {
  // libprotobuf would log to the output that containerd parses.
  google::protobuf::SetLogHandler(nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  reserve_memory();
  // containerd sets it for a shim written in Go; the runtime, in Go too, must not inherit it.
  ::unsetenv("GOMAXPROCS");
  hold_standard_descriptors();
  CommandLine command_line(count, words);
  const std::string program =
      count > 0 ? std::string(base_name(words[0])) : "containerd-shim-runc-v2";
  try {
    const Arguments arguments = parse_arguments({words + 1, words + count},
                                                [](const char* name) { return std::getenv(name); });
    switch (arguments.action) {
      case Action::help:
        print(usage(program));
        return 0;
      case Action::version:
        print(program + ":\n  Version:  " THINSHIM_VERSION "\n");
        return 0;
      case Action::info:
        print(runtime_info(arguments, read_all(STDIN_FILENO, kMaxInput, "read stdin"),
                           THINSHIM_VERSION));
        return 0;
      case Action::start:
        if (std::optional<Arguments> served = start(
                arguments, read_all(STDIN_FILENO, kMaxInput, "read stdin"), print, command_line))
          serve(*served);
        return 0;
      case Action::remove:
        print(remove_container(arguments));
        return 0;
      case Action::serve:
        serve(arguments);
        return 0;
    }
  } catch (const std::exception& failure) {
    log::error("shim exits with an error", {{"error", failure.what()}});
    std::fprintf(stderr, "%s: %s\n", program.c_str(), failure.what());
  }
  return 1;
}

}  // namespace
}  // namespace thinshim

int main(int count, char** words) {
  if (thinshim::is_log_file(count, words)) return thinshim::run_log_file(words[1]);
  return thinshim::act(count, words);
}
