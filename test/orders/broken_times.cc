// SPDX-License-Identifier: Apache-2.0
// Broken traces: what takes too long.
#include "orders/broken_traces.h"

namespace thinshim::orders {

const std::vector<BrokenTrace>& broken_times() {
  static const std::vector<BrokenTrace> traces = {
      {"an exit is published in time, whatever hangs", "it takes too long",
       [](TraceBuilder& builder) {
         builder.create();
         builder.request(4, "Start");
         builder.call(2, "start");
         builder.die(Role::init, kInit);
         builder.now = 7'000;
         builder.end_call(2);
         builder.publish("start", Role::init, kInit);
         builder.answer(4, {.pid = kInit});
         builder.publish_exit(Role::init);
         builder.delete_container();
         builder.finish();
       }},
      {"an exit is published in time, whatever hangs", "it takes too long",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.publish_exit(Role::exec1);
         builder.now = 2'000;
         builder.publish_exit(Role::init);
         builder.delete_container();
         builder.finish();
       }},
      {"each Wait is answered after the exit", "never answered",
       correct_except([](TraceBuilder& builder) { extract(builder, Kind::answer, "Wait"); })},
      {"each Wait is answered after the exit", "answered too late",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.publish_exit(Role::exec1);
         builder.publish("exit", Role::init, kInit, killed_at(0));
         builder.now = 5'000;
         builder.answer(2, {.exit = killed_at(0)});
         builder.delete_container();
         builder.finish();
       }},
      {"each Wait is answered after the exit", "without status and time",
       correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Wait", Role::init)->exit.reset();
       })},
      {"State and Exec are answered at once", "it takes too long",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(5, "State");
         builder.now = 4'000;
         builder.answer(5, {.pid = kInit, .state = "running"});
         builder.die_and_finish();
       }},
      {"Delete ends within its limit", "it takes too long",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.publish_exits();
         builder.request(15, "Delete");
         builder.now = 180'000;
         builder.answer_error(15, Code::unknown, "runtime timed out and was killed");
         builder.delete_container();
         builder.finish();
       }},
      {"Delete ends within its limit", "it takes too long",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(15, "Delete");
         builder.now = 400'000;
         builder.finish();
       }},
      {"a SIGKILL is answered within its limit", "it takes too long",
       [](TraceBuilder& builder) {
         builder.create();
         builder.request(4, "Start");
         builder.call(2, "start");
         builder.request(12, "Kill");
         builder.now = 2'000;
         builder.die(Role::init, kInit);
         builder.answer(12);
         builder.end_call(2, "no");
         builder.answer_error(4, Code::unknown, "no");
         builder.finish();
       }},
      {"a SIGKILL is answered within its limit", "it takes too long",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(12, "Kill", Role::exec1);
         builder.now = 20'000;
         builder.die(Role::exec1, kExec);
         builder.answer(12);
         builder.finish();
       }},
      {"every request is answered, unless its call of the runtime hangs", "never answered",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(11, "Resume");
         builder.die_and_finish();
       }},
      {"every request is answered, unless its call of the runtime hangs",
       "not answered, though no call of the runtime hangs",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(11, "Resume");
         builder.unblock();
         builder.answer_error(11, Code::unknown, "no");
         builder.end();
       }},
      {"a call of the runtime ends after its client has disconnected",
       "its client disconnected long ago",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(9, "Pause");
         builder.call(4, "pause");
         builder.disconnect(9);
         builder.now = 60'000;
         builder.end_call(4);
         builder.publish("paused");
         builder.finish();
       }},
      {"a call of the runtime ends after its client has disconnected",
       "killing the remaining processes takes too long",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.call(9, "kill", Role::init, "all");
         builder.now = 20'000;
         builder.end_call(9);
         builder.publish_exits();
         builder.delete_container();
         builder.finish();
       }},
      {"each Wait is answered after the exit", "before the event",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.publish_exit(Role::exec1);
         builder.answer(2, {.exit = killed_at(0)});
         builder.publish("exit", Role::init, kInit, killed_at(0));
         builder.delete_container();
         builder.finish();
       }},
      {"every request is answered, unless its call of the runtime hangs", "never answered",
       [](TraceBuilder& builder) {
         builder.run();
         builder.unblock();
         builder.request(15, "Pids");
         builder.end();
       }},
      {"a call of the runtime ends after its client has disconnected",
       "undoing a failure takes too long",
       [](TraceBuilder& builder) {
         builder.request(1, "Create");
         builder.call(1, "create");
         builder.end_call(1, "no");
         builder.call(2, "delete", Role::init, "force");
         builder.now = 90'000;
         builder.end_call(2);
         builder.answer_error(1, Code::unknown, "no");
         builder.finish();
       }},

  };
  return traces;
}

}  // namespace thinshim::orders
