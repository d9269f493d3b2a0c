// SPDX-License-Identifier: Apache-2.0
#include "orders/situation.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "orders/story.h"

namespace thinshim::orders {
namespace {

std::string about(const std::string& verb, Who who) { return verb + " " + name_of(who); }

// In the order in which it happened, or not: only what was done does not depend on its order.
class Picture {
 public:
  void add_in_order(const std::string& line) { ordered_ += line + "\n"; }
  void add(std::string line) { lines_.push_back(std::move(line)); }
  std::string text() {
    std::ranges::sort(lines_);
    std::string text = ordered_;
    for (const std::string& line : lines_) text += line + "\n";
    return text;
  }

 private:
  std::string ordered_;
  std::vector<std::string> lines_;
};

void add_requests(const Story& story, Picture& picture) {
  for (const Request& request : story.requests) {
    const std::string what = about(request.verb, request.who);
    if (request.answered) {
      const Entry& answer = story.answer(request);
      if (request.verb != "State")
        picture.add(what + ": " + answer.text + (answer.ended ? " ended" : ""));
    } else if (request.hung_up) {
      picture.add(what + " hung up at " + std::to_string(story.ms(*request.hung_up)));
    } else {
      picture.add_in_order(what + " since " + std::to_string(story.ms(request.asked)));
    }
  }
}

void add_calls(const Story& story, Picture& picture) {
  for (const RuntimeCall& call : story.calls) {
    const std::string what =
        about(call.verb, call.who) + (call.all ? " all" : "") + (call.force ? " force" : "");
    if (call.over)
      picture.add(what + ": " + story.entry(*call.over).text);
    else
      picture.add_in_order(what + " since " + std::to_string(story.ms(call.begun)));
  }
}

void add_states(const Story& story, Picture& picture) {
  for (Who who : kEverybody) {
    const Request* last = nullptr;
    for (const Request& request : story.requests)
      if (request.verb == "State" && request.who == who && request.answered) last = &request;
    if (last) picture.add(about("State", who) + ": " + story.answer(*last).state);
  }
}

}  // namespace

std::uint64_t situation_of(const Trace& trace) {
  const Story story(trace);
  Picture picture;
  picture.add(std::string(trace.own_pid_namespace ? "own" : "shared") +
              std::to_string(static_cast<int>(trace.signals)));
  for (const Entry& entry : trace.entries) {
    if (entry.kind == Kind::step) picture.add("step " + entry.text);
    if (entry.kind == Kind::made) picture.add(about("made", entry.who));
    if (entry.kind == Kind::event) picture.add_in_order(about(entry.verb, entry.who));
    if (entry.kind == Kind::died)
      picture.add(about("died", entry.who) + std::to_string(entry.status) + " at " +
                  std::to_string(entry.ms));
  }
  add_requests(story, picture);
  add_calls(story, picture);
  add_states(story, picture);
  return std::hash<std::string>()(picture.text());
}

}  // namespace thinshim::orders
