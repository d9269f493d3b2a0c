// SPDX-License-Identifier: Apache-2.0
#include "orders/history.h"

#include <map>

namespace thinshim::orders {
namespace {

void set_once(std::optional<Index>& index, Index found) {
  if (!index) index = found;
}

void take_event(History& history, const Entry& event, Index index) {
  Life& life = history.lives[static_cast<std::size_t>(event.role)];
  if (event.verb == "create") set_once(history.create_published, index);
  if (event.verb == "delete") set_once(history.delete_published, index);
  if (event.verb == "start" || event.verb == "exec-started") set_once(life.start_published, index);
  if (event.verb == "exit") set_once(life.exit_published, index);
}

}  // namespace

History::History(const Trace& recorded) : trace(recorded), unblocked(recorded.entries.size()) {
  std::map<int, std::size_t> request_of, call_of;
  for (Role role : kAllRoles) lives[static_cast<std::size_t>(role)].role = role;
  for (Index index = 0; index < trace.entries.size(); ++index) {
    const Entry& now = entry(index);
    Life& life_of_entry = lives[static_cast<std::size_t>(now.role)];
    switch (now.kind) {
      case Kind::request:
        request_of[now.number] = requests.size();
        requests.push_back({now.verb, now.role, index, {}, {}});
        break;
      case Kind::answer:
        requests.at(request_of.at(now.number)).answered = index;
        break;
      case Kind::disconnected:
        requests.at(request_of.at(now.number)).disconnected = index;
        break;
      case Kind::call:
        call_of[now.number] = calls.size();
        calls.push_back({now.verb, now.role, now.text == "all", now.text == "force", index, {}});
        break;
      case Kind::returned:
        calls.at(call_of.at(now.number)).ended = index;
        break;
      case Kind::event:
        take_event(*this, now, index);
        break;
      case Kind::process_created:
        // Forgets the process of an earlier, failed start.
        life_of_entry = {.role = now.role, .created = index};
        break;
      case Kind::process_died:
        life_of_entry.died = index;
        break;
      case Kind::unblocked:
        unblocked = index;
        break;
      case Kind::step:
      case Kind::left_over:
      case Kind::end:
        break;
    }
  }
}

}  // namespace thinshim::orders
