// SPDX-License-Identifier: Apache-2.0
#include "shim/shutdown.h"

#include <signal.h>

#include "base/log.h"

namespace thinshim {

Shutdown::Shutdown(Loop& loop, std::function<void()> report)
    : signals_(loop, {SIGTERM, SIGINT, SIGUSR1}), report_(std::move(report)) {
  tasks_.spawn(watch_signals(), "watch signals");
}

void Shutdown::on_shutdown(std::string what, std::function<Task<>()> callback) {
  callbacks_.push_back({std::move(what), std::move(callback)});
}

Task<> Shutdown::watch_signals() {
  for (;;) {
    int number = co_await signals_.next();
    if (number == SIGUSR1) {
      report_();
      continue;
    }
    log::debug("caught exit signal", {{"signal", std::to_string(number)}});
    request();
  }
}

Task<> Shutdown::run() {
  co_await requested_.wait();
  while (!callbacks_.empty()) {
    Callback last = std::move(callbacks_.back());
    callbacks_.pop_back();
    try {
      co_await last.run();
    } catch (const std::exception& failure) {
      log::error("failed to " + last.what, {{"error", failure.what()}});
    }
  }
}

}  // namespace thinshim
