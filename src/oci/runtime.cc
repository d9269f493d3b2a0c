// SPDX-License-Identifier: Apache-2.0
#include "oci/runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/quote.h"
#include "oci/call_file.h"
#include "oci/json.h"
#include "oci/runtime_log.h"
#include "oci/runtime_name.h"

namespace thinshim {
namespace {

// The container must not inherit the pipe that collects the runtime's output.
Fd fill_with_dev_null(std::vector<int>& fds) {
  Fd null;
  fds.resize(std::max<std::size_t>(fds.size(), 3), -1);
  for (int i = 0; i < 3; ++i) {
    if (fds[i] >= 0) continue;
    if (!null) null = open_file("/dev/null", O_RDWR);
    fds[i] = null.get();
  }
  return null;
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// go-runc's words. The status of a runtime that a signal has killed is 128 and the signal's number,
// but a runtime may also exit with such a status (runc with 255).
std::string failure_of(const std::string& binary, const Output& output) {
  const int status = output.exit.status;
  std::string failure =
      escaped(binary) + " did not terminate successfully: exit status " + std::to_string(status);
  if (status > 128 && status <= 128 + SIGRTMAX)
    failure += " (128 + signal " + std::to_string(status - 128) + ")";
  const std::string text = trimmed(output.text + output.stderr_text);
  return text.empty() ? failure : failure + ": " + text;
}

// The runtime's error from its log; else `failure`.
std::string reason_of(const std::string& failure, const std::string& log) {
  try {
    return last_runtime_error(log).value_or(failure);
  } catch (const Error& error) {
    return "unable to retrieve OCI runtime error (" + std::string(error.what()) + "): " + failure;
  }
}

void append_start_options(std::vector<std::string>& arguments, const Runtime::Start& start) {
  arguments.insert(arguments.end(), {"--pid-file", start.pid_file.path});
  if (start.console_socket)
    arguments.insert(arguments.end(), {"--console-socket", *start.console_socket});
}

bool keeps_state_by_id(const std::string& binary) {
  return std::ranges::any_of(std::to_array({"runc", "crun", "youki"}),
                             [&](const char* name) { return is_runtime(binary, name); });
}

// The runtimes' errors for an unknown container: "container does not exist" (runc, youki),
// "container `x` does not exist" and "error opening file `ROOT/x/status`: No such file or
// directory" (crun), "file does not exist" (gVisor). The errors of a missing program match none.
bool is_container_missing(const Error& error, const std::string& id) {
  const std::string cruns_error = "/" + id + "/status`: No such file or directory";
  return ::strcasestr(error.what(), "does not exist") != nullptr ||
         ::strstr(error.what(), cruns_error.c_str()) != nullptr;
}

class StateVisitor final : public JsonVisitor {
 public:
  Runtime::State state;

  Step value(const JsonPath& path, const JsonValue& value) override {
    if (path.empty()) return value.kind == JsonKind::object ? Step::go_on : Step::stop;
    if (value.kind == JsonKind::string && path[0] == "bundle") state.bundle = value.text;
    if (value.kind == JsonKind::string && path[0] == "status") state.status = value.text;
    return Step::skip;
  }
};

constexpr std::size_t kMaxQuoted = 100;

// A file for the runtime's stdin.
Fd input_for(const char* what, const char* name, const std::string& text) {
  try {
    const CallFile memory("", name, text);
    return open_file(memory.own_path(), O_RDONLY);
  } catch (const Error& error) {
    throw error.in(what);
  }
}

void append(std::vector<std::string>& arguments, const char* option, const std::string& value) {
  if (!value.empty()) arguments.insert(arguments.end(), {option, value});
}

// It may hold an error of an earlier attempt.
void remove_log(const std::string& path) {
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) throw_errno("remove " + path);
}

}  // namespace

Error Runtime::PidFile::error(const std::string& reason) const {
  return Error::unknown("failed to retrieve OCI runtime " + std::string(of) + " pid: " + reason);
}

Task<std::string> Runtime::call(Call call) {
  Fd null;
  std::optional<CallFile> own_log;
  try {
    if (call.for_container) null = fill_with_dev_null(call.fds);
    if (call.log.empty()) own_log.emplace(settings_.bundle, "the runtime's log");
  } catch (const Error& error) {
    throw call.what.empty() ? error : error.in(call.what);
  }
  Command command;
  command.program = settings_.binary;
  command.arguments = {"--root",       settings_.root,
                       "--log",        own_log ? own_log->path() : call.log,
                       "--log-format", "json"};
  if (settings_.systemd_cgroup) command.arguments.push_back("--systemd-cgroup");
  command.arguments.insert(command.arguments.end(), call.arguments.begin(), call.arguments.end());
  // systemd's readiness protocol runs between systemd and containerd; go-runc removes it too.
  command.environment = inherited_environment({"NOTIFY_SOCKET"});
  command.fds = call.fds;
  command.death_signal = SIGKILL;
  command.default_umask = true;  // not containerd's (CVE-2024-25621)

  const std::string log = own_log ? own_log->own_path() : call.log;
  Output output;
  try {
    Task<Output> running = run(reaper_, std::move(command), call.stop,
                               call.separate_stderr ? Stderr::separate : Stderr::with_stdout);
    output = co_await std::move(running);
  } catch (const Error& error) {
    const Error failure(error.code(), reason_of(error.what(), log), error.errnum());
    throw call.what.empty() ? failure : failure.in(call.what);
  }
  if (output.exit.status == 0) {
    const std::string& pid_file = call.pid_file.path;
    if (pid_file.empty() || may_exist(pid_file)) co_return std::move(output.text);
    throw call.pid_file.error("runtime " + quoted(settings_.binary) +
                              " exited with 0 but did not write " + pid_file);
  }
  const bool was_stopped = call.stop && call.stop->is_set() && output.exit.status == 128 + SIGKILL;
  const std::string reason =
      was_stopped ? "runtime timed out and was killed" : failure_of(settings_.binary, output);
  const Error failure = Error::unknown(reason_of(reason, log));
  throw call.what.empty() ? failure : failure.in(call.what);
}

Task<> Runtime::create(std::string id, Create options) {
  remove_log(options.log);
  Call request{"OCI runtime create failed",
               {"create", "--bundle", options.bundle},
               options.start.fds,
               options.log,
               options.start.stop};
  append_start_options(request.arguments, options.start);
  if (options.no_pivot) request.arguments.push_back("--no-pivot");
  if (options.no_new_keyring) request.arguments.push_back("--no-new-keyring");
  request.arguments.push_back(id);
  request.for_container = true;
  request.pid_file = options.start.pid_file;
  co_await call(std::move(request));
}

Task<> Runtime::start(std::string id, Event* stop) {
  Call request{"OCI runtime start failed", {"start", id}, {}, {}, stop};
  co_await call(std::move(request));
}

Task<> Runtime::pause(std::string id, Event* stop) {
  Call request{"OCI runtime pause failed", {"pause", id}, {}, {}, stop};
  co_await call(std::move(request));
}

Task<> Runtime::resume(std::string id, Event* stop) {
  Call request{"OCI runtime resume failed", {"resume", id}, {}, {}, stop};
  co_await call(std::move(request));
}

Task<> Runtime::update(std::string id, std::string resources, Event* stop) {
  const char* what = "OCI runtime update failed";
  Fd input = input_for(what, "the resources", resources);
  Call request{what, {"update", "--resources", "-", id}, {input.get()}, {}, stop};
  co_await call(std::move(request));
}

Task<> Runtime::checkpoint(std::string id, Checkpoint options, Event* stop) {
  Call request{"", {"checkpoint"}, {}, {}, stop};
  append(request.arguments, "--image-path", options.image_path);
  append(request.arguments, "--work-path", options.work_path);
  append(request.arguments, "--parent-path", options.parent_path);
  if (options.open_tcp) request.arguments.push_back("--tcp-established");
  if (options.external_unix_sockets) request.arguments.push_back("--ext-unix-sk");
  if (options.terminal) request.arguments.push_back("--shell-job");
  if (options.file_locks) request.arguments.push_back("--file-locks");
  append(request.arguments, "--manage-cgroups-mode", options.cgroups_mode);
  for (const std::string& name : options.empty_namespaces)
    append(request.arguments, "--empty-ns", name);
  if (options.leave_running) request.arguments.push_back("--leave-running");
  request.arguments.push_back(id);
  co_await call(std::move(request));
}

Task<> Runtime::restore(std::string id, Restore options) {
  remove_log(options.log);
  Call request{"OCI runtime restore failed",
               {"restore", "--detach", "--no-subreaper", "--bundle", options.bundle},
               options.start.fds,
               options.log,
               options.start.stop};
  append(request.arguments, "--image-path", options.image_path);
  append(request.arguments, "--work-path", options.work_path);
  append(request.arguments, "--parent-path", options.parent_path);
  append_start_options(request.arguments, options.start);
  if (options.no_pivot) request.arguments.push_back("--no-pivot");
  request.arguments.push_back(id);
  request.for_container = true;
  request.pid_file = options.start.pid_file;
  co_await call(std::move(request));
}

Task<> Runtime::exec(std::string id, std::string process, Start options) {
  const char* what = "OCI runtime exec failed";
  std::optional<CallFile> file;
  try {
    file.emplace(settings_.bundle, "the exec's process", process);
  } catch (const Error& error) {
    throw error.in(what);
  }
  Call request{
      what, {"exec", "--process", file->path(), "--detach"}, options.fds, {}, options.stop};
  append_start_options(request.arguments, options);
  request.arguments.push_back(id);
  request.for_container = true;
  request.pid_file = options.pid_file;
  co_await call(std::move(request));
}

Task<> Runtime::kill(std::string id, int signal, bool all, Event* stop) {
  Call request{"", {"kill"}, {}, {}, stop};
  if (all) request.arguments.push_back("--all");
  request.arguments.insert(request.arguments.end(), {id, std::to_string(signal)});
  co_await call(std::move(request));
}

Task<std::optional<Runtime::State>> Runtime::state(std::string id, Event* stop) {
  Call request{"", {"state", id}, {}, {}, stop};
  request.separate_stderr = true;
  std::optional<Error> failure;
  std::string text;
  try {
    text = co_await call(std::move(request));
  } catch (const Error& error) {
    failure = error;
  }
  if (failure && is_container_missing(*failure, id)) co_return std::nullopt;
  if (failure) throw *failure;
  StateVisitor visitor;
  if (text.find('{') != std::string::npos) visit_json(text, visitor);
  if (visitor.state.status.empty())
    throw Error::unknown(
        "runtime " + quoted(settings_.binary) +
        ": state: not a container state: " + quoted(std::string_view(text).substr(0, kMaxQuoted)));
  co_return std::move(visitor.state);
}

std::string Runtime::state_path(const std::string& id) const {
  return join_path(settings_.root, id);
}

Runtime::Knows Runtime::knows(const Settings& settings, const std::string& id) {
  if (!keeps_state_by_id(settings.binary)) return Knows::unknown;
  struct stat status{};
  if (::lstat(join_path(settings.root, id).c_str(), &status) == 0) return Knows::yes;
  return errno == ENOENT || errno == ENOTDIR ? Knows::no : Knows::unknown;
}

Task<> Runtime::remove(std::string id, bool force, Event* stop) {
  Call request{"failed to delete task", {"delete"}, {}, {}, stop};
  if (force) request.arguments.push_back("--force");
  request.arguments.push_back(id);
  co_await call(std::move(request));
}

}  // namespace thinshim
