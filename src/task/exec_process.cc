// SPDX-License-Identifier: Apache-2.0
#include "task/exec_process.h"

#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "oci/process_json.h"

namespace thinshim {

ExecProcess::ExecProcess(Reaper& reaper, Runtime& runtime, std::string id, Settings settings,
                         Streams streams)
    : Process(reaper, std::move(id), std::move(streams)),
      runtime_(runtime),
      settings_(std::move(settings)) {}

Task<> ExecProcess::start() {
  require(kExecRules, Verb::start);
  std::exception_ptr failure;
  try {
    co_await start_in_container();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    release_waiters();
    std::rethrow_exception(failure);
  }
}

Task<> ExecProcess::start_in_container() {
  Maker maker = [this](Runtime::Start start) {
    // The terminal has its size from the start on.
    const bool sized = streams().terminal && terminal_size();
    std::string process = sized ? with_console_size(settings_.process, terminal_size()->first,
                                                    terminal_size()->second)
                                : settings_.process;
    return runtime_.exec(settings_.container, std::move(process), std::move(start));
  };
  co_await open_io(settings_.io);
  Runtime::PidFile pid_file{settings_.bundle.exec_pid(id()), "exec"};
  co_await make(std::move(pid_file), std::move(maker));
}

void ExecProcess::kill(int number) const {
  require(kExecRules, Verb::kill);
  try {
    signal(number);
  } catch (const Error& error) {
    if (error.code() != Code::unknown) throw;
    throw error.in("exec kill error: unknown error after kill");
  }
}

Task<> ExecProcess::remove() {
  require(kExecRules, Verb::remove);
  co_await finish_io();
  ::unlink(settings_.bundle.exec_pid(id()).c_str());
  state_ = State::deleted;
  release_waiters();
}

void ExecProcess::resize(unsigned width, unsigned height) {
  require(kExecRules, Verb::resize);
  Process::resize(width, height);
}

}  // namespace thinshim
