// SPDX-License-Identifier: Apache-2.0
#include "orders/trace.h"

#include <cstdio>
#include <map>

namespace thinshim::orders {
namespace {

std::string of(Role role) { return std::string(" of ") + name_of(role); }
std::string numbered(const Entry& entry) { return "#" + std::to_string(entry.number); }

std::string details(const Entry& entry) {
  std::string text;
  if (!entry.state.empty()) text += " " + entry.state;
  if (entry.pid != 0) text += " pid " + std::to_string(entry.pid);
  if (entry.exit)
    text += " status " + std::to_string(entry.exit->status) + " at " +
            std::to_string(entry.exit->at / 1'000'000);
  return text;
}

std::string words(const Entry& entry) {
  switch (entry.kind) {
    case Kind::step:
      return "* " + entry.text;
    case Kind::request:
      return "    request " + numbered(entry) + ": " + entry.verb + of(entry.role);
    case Kind::answer:
      return "    answer " + numbered(entry) + ":" +
             (entry.code == Code::ok ? " ok" + details(entry) : " error: " + entry.text);
    case Kind::disconnected:
      return "    the client of " + numbered(entry) + " disconnected";
    case Kind::event:
      return "    event " + entry.verb + of(entry.role) + details(entry);
    case Kind::call:
      return "    runtime call " + numbered(entry) + ": " + entry.verb +
             (entry.text.empty() ? "" : " --" + entry.text) + of(entry.role);
    case Kind::returned:
      return "    runtime call " + numbered(entry) + " has ended: " + entry.text;
    case Kind::process_created:
      return std::string("    ") + name_of(entry.role) + " is created, pid " +
             std::to_string(entry.pid);
    case Kind::process_died:
      return std::string("    ") + name_of(entry.role) + " dies, status " +
             std::to_string(entry.status);
    case Kind::unblocked:
      return "* from now on nothing hangs, and no signal is refused";
    case Kind::left_over:
      return "    left over: " + entry.text;
    case Kind::end:
      return "* the end";
  }
  return "";
}

}  // namespace

const char* name_of(Role role) {
  constexpr const char* kNames[] = {"init", "exec 1", "exec 2"};
  return kNames[static_cast<int>(role)];
}

std::string to_line(const Entry& entry) {
  char time[32];
  std::snprintf(time, sizeof time, "%9.3f s  ", static_cast<double>(entry.ms) / 1000);
  return time + words(entry);
}

std::string to_text(const Trace& trace) {
  std::string text;
  std::map<int, Entry> pending;        // State, by number
  std::map<Role, std::string> before;  // the last answer
  for (const Entry& entry : trace.entries) {
    if (entry.kind == Kind::request && entry.verb == "State") {
      pending[entry.number] = entry;
      continue;
    }
    const auto request = pending.find(entry.number);
    if (entry.kind == Kind::answer && request != pending.end()) {
      const Role role = request->second.role;
      const std::string state = entry.code == Code::ok ? details(entry) : " error: " + entry.text;
      pending.erase(request);
      if (before[role] == state) continue;
      before[role] = state;
      Entry line = entry;
      line.kind = Kind::step;
      line.text = std::string("  State") + of(role) + ":" + state;
      text += to_line(line).replace(13, 1, " ") + "\n";
      continue;
    }
    text += to_line(entry) + "\n";
  }
  for (const auto& [number, entry] : pending)
    text += "             State" + of(entry.role) + " is not answered\n";
  return text;
}

}  // namespace thinshim::orders
