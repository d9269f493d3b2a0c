// SPDX-License-Identifier: Apache-2.0
// Runs work in a child and waits for it: run() a program, whose output it collects, and
// run_forked() a function that may block (mount, umount, removing trees), so that it does not block
// the shim.
#pragma once

#include <functional>
#include <string>

#include "async/task.h"
#include "process/reaper.h"

namespace thinshim {

// Whether stderr is collected with stdout, or separately (for a program whose stdout is parsed).
enum class Stderr { with_stdout, separate };

struct Output {
  Exit exit;
  // The first 64 KiB of stdout and stderr, or of stdout alone if stderr is separate.
  std::string text;
  // The first 64 KiB of stderr if it is separate.
  std::string stderr_text = {};
};

// Runs `command` and collects its stdout and stderr (descriptors 1 and 2, if `command.fds` has -1
// for them or does not list them). Reads until the program exits, not until the pipe is closed: the
// container that runc leaves behind may hold it open. Output above 64 KiB is read and dropped, so
// that the program does not block (containerd issue 4434). Throws Error if the program cannot be
// started; the caller checks its exit status.
//
// When `stop` is set, the child is killed. If it does not exit within two seconds (it hangs in the
// kernel), the call throws Error "process PID did not exit after SIGKILL"; the Reaper reaps it
// later. Cancelling the task kills it too.
Task<Output> run(Reaper& reaper, Command command, Event* stop = nullptr,
                 Stderr where = Stderr::with_stdout);

// Runs `work` in a fork of this process, which has closed all descriptors, and rethrows its Error.
// Throws Error "WHAT: reason" if fork(2) fails or the fork is killed. `work` must not use the loop.
// `stop` and cancellation are as for run().
Task<> run_forked(Reaper& reaper, std::string what, std::function<void()> work,
                  Event* stop = nullptr);

// The same with a timeout: throws Error "WHAT: timed out after 10s" after `limit`.
Task<> run_forked_within(Reaper& reaper, Duration limit, std::string what,
                         std::function<void()> work, Event* stop = nullptr);

}  // namespace thinshim
