// SPDX-License-Identifier: Apache-2.0
#include "orders/trace.h"

#include <cstdio>
#include <map>

namespace thinshim::orders {
namespace {

std::string of(Who who) { return std::string(" of ") + name_of(who); }
std::string numbered(const Entry& entry) { return "#" + std::to_string(entry.number); }

std::string details(const Entry& entry) {
  std::string text;
  if (!entry.state.empty()) text += " " + entry.state;
  if (entry.pid != 0) text += " pid " + std::to_string(entry.pid);
  if (entry.ended)
    text += " status " + std::to_string(entry.ended->status) + " at " +
            std::to_string(entry.ended->at / 1'000'000);
  return text;
}

std::string words(const Entry& entry) {
  switch (entry.kind) {
    case Kind::step:
      return "* " + entry.text;
    case Kind::request:
      return "    asked " + numbered(entry) + ": " + entry.verb + of(entry.who);
    case Kind::answer:
      return "    answered " + numbered(entry) + ":" +
             (entry.code == Code::ok ? " ok" + details(entry) : " error: " + entry.text);
    case Kind::hung_up:
      return "    the client of " + numbered(entry) + " has gone";
    case Kind::event:
      return "    event " + entry.verb + of(entry.who) + details(entry);
    case Kind::call:
      return "    runtime call " + numbered(entry) + ": " + entry.verb +
             (entry.text.empty() ? "" : " --" + entry.text) + of(entry.who);
    case Kind::returned:
      return "    runtime call " + numbered(entry) + " is over: " + entry.text;
    case Kind::made:
      return std::string("    ") + name_of(entry.who) + " is made, pid " +
             std::to_string(entry.pid);
    case Kind::died:
      return std::string("    ") + name_of(entry.who) + " dies, status " +
             std::to_string(entry.status);
    case Kind::freed:
      return "* from here on nothing hangs, and no signal is refused";
    case Kind::left:
      return "    left over: " + entry.text;
    case Kind::end:
      return "* the end";
  }
  return "";
}

}  // namespace

const char* name_of(Who who) {
  constexpr const char* kNames[] = {"init", "exec 1", "exec 2"};
  return kNames[static_cast<int>(who)];
}

std::string to_line(const Entry& entry) {
  char time[32];
  std::snprintf(time, sizeof time, "%9.3f s  ", static_cast<double>(entry.ms) / 1000);
  return time + words(entry);
}

std::string to_text(const Trace& trace) {
  std::string text;
  std::map<int, Entry> asked;         // State, by number
  std::map<Who, std::string> before;  // what it said
  for (const Entry& entry : trace.entries) {
    if (entry.kind == Kind::request && entry.verb == "State") {
      asked[entry.number] = entry;
      continue;
    }
    const auto question = asked.find(entry.number);
    if (entry.kind == Kind::answer && question != asked.end()) {
      const Who who = question->second.who;
      const std::string said = entry.code == Code::ok ? details(entry) : " error: " + entry.text;
      asked.erase(question);
      if (before[who] == said) continue;
      before[who] = said;
      Entry told = entry;
      told.kind = Kind::step;
      told.text = std::string("  State") + of(who) + ":" + said;
      text += to_line(told).replace(13, 1, " ") + "\n";
      continue;
    }
    text += to_line(entry) + "\n";
  }
  for (const auto& [number, entry] : asked)
    text += "             State" + of(entry.who) + " is not answered\n";
  return text;
}

}  // namespace thinshim::orders
