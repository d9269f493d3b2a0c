// SPDX-License-Identifier: Apache-2.0
#include "process/command.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <list>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "process/launch.h"
#include "process/open_files.h"

namespace thinshim {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

bool is_searched(const std::string& program) { return program.find('/') == std::string::npos; }

// The paths that execvp(3) would try.
std::vector<std::string> paths_of(const std::string& program) {
  if (!is_searched(program)) return {program};
  std::vector<std::string> paths;
  const char* variable = std::getenv("PATH");
  const std::string directories = variable ? variable : "";
  for (std::size_t begin = 0; begin <= directories.size() && !program.empty();) {
    const std::size_t end = std::min(directories.find(':', begin), directories.size());
    const std::string directory = directories.substr(begin, end - begin);
    paths.push_back((directory.empty() ? "." : directory) + "/" + program);
    begin = end + 1;
  }
  return paths;
}

// See Launch::highest.
int highest_to_close() {
  static const bool has_close_range = ::close_range(~0u, ~0u, 0) == 0;
  int highest = -1;
  if (has_close_range) return highest;
  for (const std::string& name : entries_of("/proc/self/fd"))
    highest = std::max(highest, std::atoi(name.c_str()));
  return highest;
}

}  // namespace

std::vector<std::string> inherited_environment(const std::vector<std::string>& without) {
  std::vector<std::string> result;
  for (char** entry = environ; entry && *entry; ++entry) {
    std::string text = *entry;
    std::string name = text.substr(0, text.find('='));
    if (std::find(without.begin(), without.end(), name) == without.end())
      result.push_back(std::move(text));
  }
  return result;
}

// The memory that the child uses until execve(2), and the result.
class ProgramStart {
 public:
  explicit ProgramStart(Command command);
  pid_t begin();
  // Whether the child has called execve(2) successfully, or has exited.
  bool is_finished() const { return launch_.in_use == 0; }
  // Once finished: keeps the failure, if any, and frees everything else.
  void finish();
  const std::optional<Error>& failure() const { return failure_; }

 private:
  Error failure_of(int errnum) const;

  struct Memory {
    explicit Memory(Command given) : command(std::move(given)), paths(paths_of(command.program)) {}
    Command command;
    std::vector<std::string> paths;
    std::vector<int> parked;
    std::vector<char*> path_pointers;
    std::vector<char*> argv;
    std::vector<char*> envp;
    char stack[kLaunchStack];
  };
  std::unique_ptr<Memory> memory_;
  Launch launch_{};
  std::optional<Error> failure_;
};

ProgramStart::ProgramStart(Command given) : memory_(new Memory(std::move(given))) {
  Command& command = memory_->command;
  if (command.name.empty()) command.name = command.program;
  if (command.fds.size() < 3) command.fds.resize(3, -1);
  memory_->parked.resize(command.fds.size());
  memory_->path_pointers = pointers(memory_->paths);
  memory_->argv = pointers(command.arguments);
  memory_->argv.insert(memory_->argv.begin(), command.name.data());
  memory_->envp = pointers(command.environment);
  launch_.paths = memory_->path_pointers.data();
  launch_.is_search = is_searched(command.program);
  launch_.argv = memory_->argv.data();
  launch_.envp = memory_->envp.data();
  launch_.directory = command.directory.empty() ? nullptr : command.directory.c_str();
  launch_.sources = command.fds.data();
  launch_.parked = memory_->parked.data();
  launch_.count = static_cast<int>(command.fds.size());
  launch_.highest = highest_to_close();
  launch_.open_files = open_files_limit_of_programs();
  launch_.death_signal = command.death_signal;
  launch_.parent = ::getpid();
  launch_.own_group = command.own_group;
  launch_.default_umask = command.default_umask;
}

pid_t ProgramStart::begin() {
  Fd null;
  for (int& source : memory_->command.fds) {
    if (source >= 0) continue;
    if (!null) null = open_file("/dev/null", O_RDWR);
    source = null.get();
  }
  const pid_t pid = begin_launch(launch_, memory_->stack);
  if (pid < 0) throw failure_of(errno);
  return pid;
}

Error ProgramStart::failure_of(int errnum) const {
  if (launch_.is_missing)
    return {Code::unknown,
            "exec: \"" + memory_->command.program + "\": executable file not found in $PATH",
            ENOENT};
  const std::string path = launch_.failed_path ? launch_.failed_path : memory_->command.program;
  return {Code::unknown, "fork/exec " + path + ": " + errno_text(errnum), errnum};
}

void ProgramStart::finish() {
  if (launch_.failure != 0) failure_ = failure_of(launch_.failure);
  memory_.reset();
}

namespace {

// The starts that a child still uses. Never destroyed: a child may outlive main().
struct PendingStarts {
  std::list<std::shared_ptr<ProgramStart>> starts;
  bool huge_pages_disabled = false;  // before the first start
};
PendingStarts& pending_starts() {
  static PendingStarts& pending = *new PendingStarts;
  return pending;
}

}  // namespace

void free_finished_starts() {
  PendingStarts& pending = pending_starts();
  if (pending.starts.empty()) return;
  pending.starts.remove_if([](const auto& start) {
    if (!start->is_finished()) return false;
    start->finish();
    return true;
  });
  if (pending.starts.empty() && pending.huge_pages_disabled)
    ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

void StartedProgram::check() const {
  free_finished_starts();
  if (start_->failure()) throw *start_->failure();
}

StartedProgram start_command(Command command) {
  free_finished_starts();
  auto start = std::make_shared<ProgramStart>(std::move(command));
  PendingStarts& pending = pending_starts();
  if (pending.starts.empty())
    pending.huge_pages_disabled = ::prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1;
  pending.starts.push_back(start);
  // The child shares this process's memory, and so the setting, up to execve(2), where the program
  // inherits it.
  if (pending.huge_pages_disabled) ::prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  try {
    const pid_t pid = start->begin();
    return {pid, std::move(start)};
  } catch (...) {
    free_finished_starts();
    throw;
  }
}

}  // namespace thinshim
