// SPDX-License-Identifier: Apache-2.0
// Two ways to have something done by a child and to wait for it: a program whose output is kept,
// and a function that may block (mount, umount, removing trees), run in a fork so that it hangs
// nobody but itself.
#pragma once

#include <functional>
#include <string>

#include "async/task.h"
#include "process/reaper.h"

namespace thinshim {

// Where it goes: one who reads an answer wants no complaints in it.
enum class Stderr { with_stdout, apart };

struct Output {
  Exit exit;
  // The first 64 KiB of what the program wrote to stdout and stderr, or to stdout alone.
  std::string text;
  std::string complaints = {};  // to stderr alone, likewise
};

// Runs `command` with stdout and stderr (descriptors 1 and 2 of `command.fds`, where these are -1
// or missing) collected. Reads until the program exits, never until its descendants close the pipe:
// runc leaves a container behind, and that it writes more than a pipe holds must not stop it
// (containerd issue 4434). Throws Error where the program cannot be started; how it ends is the
// caller's business.
//
// Once `stop`, where there is one, is set, the program is killed, or what was to become it; its end
// is waited for, but no longer than two seconds, for the kernel may not let it go: then Error is
// thrown, and who reaps it is nobody's concern. Cancelling the task kills it too.
Task<Output> run(Reaper& reaper, Command command, Event* stop = nullptr,
                 Stderr where = Stderr::with_stdout);

// Runs `work` in a fork of this process with all descriptors closed, and throws the Error that it
// threw. Throws Error where there is no fork or it dies otherwise, and says by `what` what it was
// for. `work` must not touch the loop. `stop` and cancelling are as with run().
Task<> run_forked(Reaper& reaper, std::string what, std::function<void()> work,
                  Event* stop = nullptr);

}  // namespace thinshim
