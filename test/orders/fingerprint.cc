// SPDX-License-Identifier: Apache-2.0
#include "orders/fingerprint.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "orders/history.h"

namespace thinshim::orders {
namespace {

std::string about(const std::string& verb, Role role) { return verb + " " + name_of(role); }

// Lines whose order counts, then lines whose order does not.
class Summary {
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

void add_requests(const History& history, Summary& summary) {
  for (const Request& request : history.requests) {
    const std::string what = about(request.verb, request.role);
    if (request.answered) {
      const Entry& answer = history.answer(request);
      if (request.verb != "State")
        summary.add(what + ": " + answer.text + (answer.exit ? " exited" : ""));
    } else if (request.disconnected) {
      summary.add(what + " disconnected at " + std::to_string(history.ms(*request.disconnected)));
    } else {
      summary.add_in_order(what + " since " + std::to_string(history.ms(request.sent)));
    }
  }
}

void add_calls(const History& history, Summary& summary) {
  for (const RuntimeCall& call : history.calls) {
    const std::string what =
        about(call.verb, call.role) + (call.all ? " all" : "") + (call.force ? " force" : "");
    if (call.ended)
      summary.add(what + ": " + history.entry(*call.ended).text);
    else
      summary.add_in_order(what + " since " + std::to_string(history.ms(call.begun)));
  }
}

void add_states(const History& history, Summary& summary) {
  for (Role role : kAllRoles) {
    const Request* last = nullptr;
    for (const Request& request : history.requests)
      if (request.verb == "State" && request.role == role && request.answered) last = &request;
    if (last) summary.add(about("State", role) + ": " + history.answer(*last).state);
  }
}

}  // namespace

std::uint64_t fingerprint_of(const Trace& trace) {
  const History history(trace);
  Summary summary;
  summary.add(std::string(trace.own_pid_namespace ? "own" : "shared") +
              std::to_string(static_cast<int>(trace.signals)));
  for (const Entry& entry : trace.entries) {
    if (entry.kind == Kind::step) summary.add("step " + entry.text);
    if (entry.kind == Kind::process_created) summary.add(about("made", entry.role));
    if (entry.kind == Kind::event) summary.add_in_order(about(entry.verb, entry.role));
    if (entry.kind == Kind::process_died)
      summary.add(about("died", entry.role) + std::to_string(entry.status) + " at " +
                  std::to_string(entry.ms));
  }
  add_requests(history, summary);
  add_calls(history, summary);
  add_states(history, summary);
  return std::hash<std::string>()(summary.text());
}

}  // namespace thinshim::orders
