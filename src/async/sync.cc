// SPDX-License-Identifier: Apache-2.0
#include "async/sync.h"

#include "base/log.h"

namespace thinshim {

Task<> propagate(Event& from, Event& to) {
  co_await from.wait();
  to.set();
}

void TaskSet::spawn(Task<> task, std::string what) {
  emptied_.clear();
  members_.emplace_back(*this, std::move(task), std::move(what));
  auto position = std::prev(members_.end());
  position->position = position;
  if (position->task.start(&*position)) remove(position);
}

void internal::log_failure(const std::string& what, std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    log::warning(what + " failed after its caller was cancelled", {{"error", error.what()}});
  }
}

void TaskSet::remove(std::list<Member>::iterator position) {
  std::list<Member> done;
  done.splice(done.begin(), members_, position);
  try {
    done.front().task.take();
  } catch (const std::exception& failure) {
    log::error(done.front().what, {{"error", failure.what()}});
  }
  if (members_.empty()) emptied_.set();
}

Task<> TaskSet::wait_empty() {
  while (!members_.empty()) {
    emptied_.clear();
    co_await emptied_.wait();
  }
}

}  // namespace thinshim
