// SPDX-License-Identifier: Apache-2.0
#include "orders/story.h"

#include <map>

namespace thinshim::orders {
namespace {

void set_once(std::optional<Place>& place, Place found) {
  if (!place) place = found;
}

void take_event(Story& story, const Entry& event, Place place) {
  Life& life = story.lives[static_cast<std::size_t>(event.who)];
  if (event.verb == "create") set_once(story.created, place);
  if (event.verb == "delete") set_once(story.removed, place);
  if (event.verb == "start" || event.verb == "exec-started") set_once(life.started, place);
  if (event.verb == "exit") set_once(life.told, place);
}

}  // namespace

Story::Story(const Trace& told) : trace(told), freed(told.entries.size()) {
  std::map<int, std::size_t> request_of, call_of;
  for (Who who : kEverybody) lives[static_cast<std::size_t>(who)].who = who;
  for (Place place = 0; place < trace.entries.size(); ++place) {
    const Entry& now = entry(place);
    Life& life_of_now = lives[static_cast<std::size_t>(now.who)];
    switch (now.kind) {
      case Kind::request:
        request_of[now.number] = requests.size();
        requests.push_back({now.verb, now.who, place, {}, {}});
        break;
      case Kind::answer:
        requests.at(request_of.at(now.number)).answered = place;
        break;
      case Kind::hung_up:
        requests.at(request_of.at(now.number)).hung_up = place;
        break;
      case Kind::call:
        call_of[now.number] = calls.size();
        calls.push_back({now.verb, now.who, now.text == "all", now.text == "force", place, {}});
        break;
      case Kind::returned:
        calls.at(call_of.at(now.number)).over = place;
        break;
      case Kind::event:
        take_event(*this, now, place);
        break;
      case Kind::made:
        life_of_now = {.who = now.who,
                       .made = place};  // one that failed may have been there before
        break;
      case Kind::died:
        life_of_now.died = place;
        break;
      case Kind::freed:
        freed = place;
        break;
      case Kind::step:
      case Kind::left:
      case Kind::end:
        break;
    }
  }
}

}  // namespace thinshim::orders
