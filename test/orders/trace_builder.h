// SPDX-License-Identifier: Apache-2.0
// Builds traces for tests of the checker: a correct one, and changes of it.
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
inline ExitInfo killed_at(std::int64_t ms) { return {137, kWall + ms * 1'000'000}; }

class TraceBuilder {
 public:
  TraceBuilder() { trace.wall = kWall; }

  std::int64_t now = 0;
  Trace trace;

  void write(Entry entry) {
    entry.ms = now;
    trace.entries.push_back(std::move(entry));
  }
  void request(int number, const char* verb, Role role = Role::init) {
    write({.kind = Kind::request, .verb = verb, .role = role, .number = number});
  }
  void answer(int number, Entry more = {}) {
    const Entry& request = *std::ranges::find_if(trace.entries, [&](const Entry& entry) {
      return entry.kind == Kind::request && entry.number == number;
    });
    more.kind = Kind::answer;
    more.number = number;
    more.verb = request.verb;
    more.role = request.role;
    write(std::move(more));
  }
  void answer_error(int number, Code code, const char* text) {
    answer(number, {.code = code, .text = text});
  }
  void disconnect(int number) {
    answer(number);
    trace.entries.back().kind = Kind::disconnected;
  }
  void publish(const char* verb, Role role = Role::init, pid_t pid = 0,
               std::optional<ExitInfo> exit = {}) {
    write({.kind = Kind::event, .verb = verb, .role = role, .pid = pid, .exit = exit});
  }
  void call(int number, const char* verb, Role role = Role::init, const char* how = "") {
    write({.kind = Kind::call, .verb = verb, .role = role, .number = number, .text = how});
  }
  void end_call(int number, const char* how = kSuccess) {
    write({.kind = Kind::returned, .number = number, .text = how});
  }
  void create_process(Role role, pid_t pid) {
    write({.kind = Kind::process_created, .role = role, .pid = pid});
  }
  void die(Role role, pid_t pid) {
    write({.kind = Kind::process_died, .role = role, .pid = pid, .status = 137});
  }
  void state(int number, const char* state, pid_t pid, Role role = Role::init,
             std::optional<ExitInfo> exit = {}) {
    request(number, "State", role);
    answer(number, {.pid = pid, .state = state, .exit = exit});
  }
  void unblock() { write({.kind = Kind::unblocked}); }
  void end() { write({.kind = Kind::end}); }

  void create() {
    request(1, "Create");
    call(1, "create");
    create_process(Role::init, kInit);
    end_call(1);
    publish("create", Role::init, kInit);
    answer(1, {.pid = kInit});
    request(2, "Wait");
  }
  void start() {
    request(4, "Start");
    call(2, "start");
    end_call(2);
    publish("start", Role::init, kInit);
    answer(4, {.pid = kInit});
  }
  void add_exec() {
    request(6, "Exec", Role::exec1);
    publish("exec-added", Role::exec1);
    answer(6);
  }
  void start_exec() {
    request(7, "Start", Role::exec1);
    call(3, "exec", Role::exec1);
    create_process(Role::exec1, kExec);
    end_call(3);
    publish("exec-started", Role::exec1, kExec);
    answer(7, {.pid = kExec});
    request(8, "Wait", Role::exec1);
  }
  void run() {
    create();
    start();
    add_exec();
    start_exec();
  }
  void pause() {
    request(9, "Pause");
    call(4, "pause");
    end_call(4);
    publish("paused");
    answer(9);
    state(10, "paused", kInit);
  }
  void resume() {
    request(11, "Resume");
    call(5, "resume");
    end_call(5);
    publish("resumed");
    answer(11);
  }
  void die_all() {
    died_at = now;
    die(Role::exec1, kExec);
    die(Role::init, kInit);
  }
  void publish_exit(Role role) {
    const bool is_init = role == Role::init;
    publish("exit", role, is_init ? kInit : kExec, killed_at(died_at));
    answer(is_init ? 2 : 8, {.exit = killed_at(died_at)});
  }
  void publish_exits() {
    publish_exit(Role::exec1);
    publish_exit(Role::init);
  }
  void delete_container() {
    request(14, "Delete");
    call(6, "delete");
    end_call(6);
    publish("delete", Role::init, kInit, killed_at(died_at));
    answer(14, {.pid = kInit, .exit = killed_at(died_at)});
  }
  void finish() {
    unblock();
    end();
  }
  void die_and_finish() {
    die_all();
    publish_exits();
    delete_container();
    finish();
  }

  std::int64_t died_at = 0;
};

inline Trace build_trace(const std::function<void(TraceBuilder&)>& build) {
  TraceBuilder builder;
  build(builder);
  return builder.trace;
}

inline void correct_trace(TraceBuilder& builder) {
  builder.create();
  builder.state(3, "created", kInit);
  builder.start();
  builder.state(5, "running", kInit);
  builder.add_exec();
  builder.start_exec();
  builder.now = 20;
  builder.pause();
  builder.resume();
  builder.now = 1'000;
  builder.request(12, "Kill");
  builder.die_all();
  builder.publish_exits();
  builder.answer(12);
  builder.state(13, "stopped", kInit, Role::init, killed_at(1'000));
  builder.delete_container();
  builder.finish();
}

// The first matching entry. Throws if there is none.
inline std::vector<Entry>::iterator find(TraceBuilder& builder, Kind kind, const std::string& verb,
                                         Role role) {
  const auto found = std::ranges::find_if(builder.trace.entries, [&](const Entry& entry) {
    return entry.kind == kind && entry.verb == verb && entry.role == role;
  });
  if (found == builder.trace.entries.end()) throw std::logic_error("no such entry");
  return found;
}
inline Entry extract(TraceBuilder& builder, Kind kind, const std::string& verb,
                     Role role = Role::init) {
  const auto found = find(builder, kind, verb, role);
  const Entry entry = *found;
  builder.trace.entries.erase(found);
  return entry;
}
inline void insert_before_end(TraceBuilder& builder, const Entry& entry) {
  builder.trace.entries.insert(builder.trace.entries.end() - 2, entry);
}

// The correct trace with a change.
inline std::function<void(TraceBuilder&)> correct_except(
    std::function<void(TraceBuilder&)> change) {
  return [change](TraceBuilder& builder) {
    correct_trace(builder);
    change(builder);
  };
}

}  // namespace thinshim::orders
