// SPDX-License-Identifier: Apache-2.0
#include "shim/shutdown.h"

#include <signal.h>

#include "base/log.h"

namespace thinshim {

Shutdown::Shutdown(Loop& loop, std::function<void()> report)
    : signals_(loop, {SIGTERM, SIGINT, SIGUSR1}), report_(std::move(report)) {
  tasks_.spawn(watch_signals(), "watch signals");
}

void Shutdown::at_end(std::string what, std::function<Task<>()> work) {
  work_.push_back({std::move(what), std::move(work)});
}

Task<> Shutdown::watch_signals() {
  for (;;) {
    int number = co_await signals_.next();
    if (number == SIGUSR1) {
      report_();
      continue;
    }
    log::debug("caught exit signal", {{"signal", std::to_string(number)}});
    ask();
  }
}

Task<> Shutdown::run() {
  co_await asked_.wait();
  while (!work_.empty()) {
    Work last = std::move(work_.back());
    work_.pop_back();
    try {
      Task<> running = last.run();
      co_await std::move(running);
    } catch (const std::exception& failure) {
      log::error(last.what, {{"error", failure.what()}});
    }
  }
}

}  // namespace thinshim
