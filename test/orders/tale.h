// SPDX-License-Identifier: Apache-2.0
// Traces as they are made up for tests of the checker: a good life, and what can be changed in it.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "orders/trace.h"

namespace thinshim::orders {

inline constexpr std::int64_t kWall = 1'000'000'000'000;
inline constexpr pid_t kInit = 100;
inline constexpr pid_t kExec = 101;
inline Ended killed_at(std::int64_t ms) { return {137, kWall + ms * 1'000'000}; }

// A trace as it is written.
class Tale {
 public:
  Tale() { trace.wall = kWall; }

  std::int64_t now = 0;
  Trace trace;

  void write(Entry entry) {
    entry.ms = now;
    trace.entries.push_back(std::move(entry));
  }
  void ask(int number, const char* verb, Who who = Who::init) {
    write({.kind = Kind::request, .verb = verb, .who = who, .number = number});
  }
  void answer(int number, Entry more = {}) {
    const Entry& asked = *std::ranges::find_if(trace.entries, [&](const Entry& entry) {
      return entry.kind == Kind::request && entry.number == number;
    });
    more.kind = Kind::answer;
    more.number = number;
    more.verb = asked.verb;
    more.who = asked.who;
    write(std::move(more));
  }
  void refuse(int number, Code code, const char* text) {
    answer(number, {.code = code, .text = text});
  }
  void hang_up(int number) {
    answer(number);
    trace.entries.back().kind = Kind::hung_up;
  }
  void tell(const char* verb, Who who = Who::init, pid_t pid = 0, std::optional<Ended> ended = {}) {
    write({.kind = Kind::event, .verb = verb, .who = who, .pid = pid, .ended = ended});
  }
  void call(int number, const char* verb, Who who = Who::init, const char* how = "") {
    write({.kind = Kind::call, .verb = verb, .who = who, .number = number, .text = how});
  }
  void end_call(int number, const char* how = kSuccess) {
    write({.kind = Kind::returned, .number = number, .text = how});
  }
  void make(Who who, pid_t pid) { write({.kind = Kind::made, .who = who, .pid = pid}); }
  void die(Who who, pid_t pid) {
    write({.kind = Kind::died, .who = who, .pid = pid, .status = 137});
  }
  void state(int number, const char* state, pid_t pid, Who who = Who::init,
             std::optional<Ended> ended = {}) {
    ask(number, "State", who);
    answer(number, {.pid = pid, .state = state, .ended = ended});
  }
  void free() { write({.kind = Kind::freed}); }
  void end() { write({.kind = Kind::end}); }

  void create() {
    ask(1, "Create");
    call(1, "create");
    make(Who::init, kInit);
    end_call(1);
    tell("create", Who::init, kInit);
    answer(1, {.pid = kInit});
    ask(2, "Wait");
  }
  void start() {
    ask(4, "Start");
    call(2, "start");
    end_call(2);
    tell("start", Who::init, kInit);
    answer(4, {.pid = kInit});
  }
  void add_exec() {
    ask(6, "Exec", Who::exec1);
    tell("exec-added", Who::exec1);
    answer(6);
  }
  void start_exec() {
    ask(7, "Start", Who::exec1);
    call(3, "exec", Who::exec1);
    make(Who::exec1, kExec);
    end_call(3);
    tell("exec-started", Who::exec1, kExec);
    answer(7, {.pid = kExec});
    ask(8, "Wait", Who::exec1);
  }
  void run() {
    create();
    start();
    add_exec();
    start_exec();
  }
  void pause() {
    ask(9, "Pause");
    call(4, "pause");
    end_call(4);
    tell("paused");
    answer(9);
    state(10, "paused", kInit);
  }
  void resume() {
    ask(11, "Resume");
    call(5, "resume");
    end_call(5);
    tell("resumed");
    answer(11);
  }
  void die_all() {
    died_at = now;
    die(Who::exec1, kExec);
    die(Who::init, kInit);
  }
  void tell_exit(Who who) {
    const bool is_init = who == Who::init;
    tell("exit", who, is_init ? kInit : kExec, killed_at(died_at));
    answer(is_init ? 2 : 8, {.ended = killed_at(died_at)});
  }
  void tell_exits() {
    tell_exit(Who::exec1);
    tell_exit(Who::init);
  }
  void remove() {
    ask(14, "Delete");
    call(6, "delete");
    end_call(6);
    tell("delete", Who::init, kInit, killed_at(died_at));
    answer(14, {.pid = kInit, .ended = killed_at(died_at)});
  }
  void finish() {
    free();
    end();
  }
  void die_and_finish() {
    die_all();
    tell_exits();
    remove();
    finish();
  }

  std::int64_t died_at = 0;
};

inline Trace told(const std::function<void(Tale&)>& tell) {
  Tale tale;
  tell(tale);
  return tale.trace;
}

inline void good_life(Tale& tale) {
  tale.create();
  tale.state(3, "created", kInit);
  tale.start();
  tale.state(5, "running", kInit);
  tale.add_exec();
  tale.start_exec();
  tale.now = 20;
  tale.pause();
  tale.resume();
  tale.now = 1'000;
  tale.ask(12, "Kill");
  tale.die_all();
  tale.tell_exits();
  tale.answer(12);
  tale.state(13, "stopped", kInit, Who::init, killed_at(1'000));
  tale.remove();
  tale.finish();
}

// The first entry like that.
inline std::vector<Entry>::iterator find(Tale& tale, Kind kind, const std::string& verb, Who who) {
  const auto found = std::ranges::find_if(tale.trace.entries, [&](const Entry& entry) {
    return entry.kind == kind && entry.verb == verb && entry.who == who;
  });
  if (found == tale.trace.entries.end()) throw std::logic_error("no such entry");
  return found;
}
inline Entry take(Tale& tale, Kind kind, const std::string& verb, Who who = Who::init) {
  const auto found = find(tale, kind, verb, who);
  const Entry entry = *found;
  tale.trace.entries.erase(found);
  return entry;
}
inline void put_before_the_end(Tale& tale, const Entry& entry) {
  tale.trace.entries.insert(tale.trace.entries.end() - 2, entry);
}

// A good life, and then what is changed in it.
inline std::function<void(Tale&)> good_but(std::function<void(Tale&)> change) {
  return [change](Tale& tale) {
    good_life(tale);
    change(tale);
  };
}

}  // namespace thinshim::orders
