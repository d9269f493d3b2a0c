// SPDX-License-Identifier: Apache-2.0
#include "task/creations.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace thinshim {
namespace {

constexpr Duration kFinishLimit = std::chrono::seconds(2);

}  // namespace

bool Creations::begin(const std::string& id) {
  if (!creates_.emplace(id, Create{}).second) return false;
  settings_.changed();
  return true;
}

Task<pid_t> Creations::finish(std::string id, Task<std::shared_ptr<Container>> making) {
  std::exception_ptr failure;
  std::shared_ptr<Container> made;
  try {
    made = co_await std::move(making);
  } catch (...) {
    failure = std::current_exception();
  }
  settings_.changed();
  creates_[id].settled->set();
  if (made && !creates_[id].awaited) {
    co_await remove(made);
    failure = std::make_exception_ptr(Error(
        Code::canceled, "the client disconnected or its deadline passed before create completed"));
  }
  creates_.erase(id);
  if (creates_.empty()) finished_.set();
  if (!failure) co_return made->process("")->pid();
  settings_.changed();
  std::rethrow_exception(failure);
}

Task<> Creations::remove(std::shared_ptr<Container> container) {
  try {
    co_await settings_.remove(container);
  } catch (const Error& error) {
    log::error("failed to remove a container whose create was cancelled",
               {{"id", container->id()}, {"error", error.what()}});
    container->process("")->kill_at_once();
  }
}

void Creations::abandon(const std::string& id) {
  auto create = creates_.find(id);
  if (create == creates_.end()) return;
  create->second.awaited = false;
  settings_.changed();
}

bool Creations::are_awaited() const {
  return std::any_of(creates_.begin(), creates_.end(),
                     [](const auto& create) { return create.second.awaited; });
}

Task<> Creations::wait_settled(std::shared_ptr<Event> settled) {
  co_await TimedWait(loop_, *settled, settings_.wait_limit);
}

Task<> Creations::wait_finished() {
  finished_.clear();
  if (!creates_.empty()) co_await TimedWait(loop_, finished_, kFinishLimit);
}

}  // namespace thinshim
