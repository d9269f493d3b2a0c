// SPDX-License-Identifier: Apache-2.0
// Broken traces: events that are missing, wrong, or in another order.
#include "orders/broken_traces.h"

namespace thinshim::orders {

const std::vector<BrokenTrace>& broken_events() {
  static const std::vector<BrokenTrace> traces = {
      {"each event is published once", "published twice", correct_except([](TraceBuilder& builder) {
         const auto exit = find(builder, Kind::event, "exit", Role::init);
         builder.trace.entries.insert(exit, Entry(*exit));
       })},
      {"TaskCreate is published first and TaskDelete last", "before TaskCreate",
       correct_except([](TraceBuilder& builder) {
         const Entry create = extract(builder, Kind::event, "create");
         builder.trace.entries.insert(find(builder, Kind::event, "exec-added", Role::exec1),
                                      create);
       })},
      {"TaskCreate is published first and TaskDelete last", "after TaskDelete",
       correct_except([](TraceBuilder& builder) {
         insert_before_end(builder, extract(builder, Kind::event, "resumed"));
       })},
      {"TaskCreate is published first and TaskDelete last", "before init's exit",
       correct_except([](TraceBuilder& builder) { extract(builder, Kind::event, "exit"); })},
      {"a start is published before the exit, and an exec is added before its start",
       "after its exit", correct_except([](TraceBuilder& builder) {
         const Entry start = extract(builder, Kind::event, "start");
         builder.trace.entries.insert(find(builder, Kind::event, "delete", Role::init), start);
       })},
      {"a start is published before the exit, and an exec is added before its start",
       "before it was added", correct_except([](TraceBuilder& builder) {
         extract(builder, Kind::event, "exec-added", Role::exec1);
       })},
      {"a start is published before the exit, and an exec is added before its start",
       "exit of an exec whose start was not published", correct_except([](TraceBuilder& builder) {
         extract(builder, Kind::event, "exec-started", Role::exec1);
       })},
      {"no start, pause or resume is published after init's exit", "after init's exit",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(9, "Pause");
         builder.call(4, "pause");
         builder.die_all();
         builder.publish_exits();
         builder.end_call(4);
         builder.publish("paused");
         builder.answer(9);
         builder.delete_container();
         builder.finish();
       }},
      {"the exit of every exec is published before init's", "before the exit of an exec",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.publish_exit(Role::init);
         builder.publish_exit(Role::exec1);
         builder.delete_container();
         builder.finish();
       }},
      {"the exit of every exec is published before init's", "before the exit of an exec",
       [](TraceBuilder& builder) {
         builder.trace.signals = Signals::refused;
         builder.run();
         builder.die(Role::init, kInit);
         builder.now = 9'000;  // of ten seconds
         builder.publish_exit(Role::init);
         builder.finish();
       }},
      {"the exit of each started process is published", "its exit is never published",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.publish_exit(Role::exec1);
         builder.now = 200'000;
         builder.finish();
       }},
      {"the exit of each started process is published", "its exit is never published",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die(Role::exec1, kExec);
         builder.finish();
       }},
      {"an exit is published only of a dead process, with its pid, status and time",
       "though the process is alive",
       [](TraceBuilder& builder) {
         builder.run();
         builder.publish_exit(Role::exec1);
         builder.finish();
       }},
      {"an exit is published only of a dead process, with its pid, status and time",
       "with the pid of another process", correct_except([](TraceBuilder& builder) {
         find(builder, Kind::event, "exit", Role::init)->pid = kExec;
       })},
      {"an exit is published only of a dead process, with its pid, status and time",
       "with the wrong status", correct_except([](TraceBuilder& builder) {
         find(builder, Kind::event, "exit", Role::init)->exit->status = 0;
       })},
      {"an exit is published only of a dead process, with its pid, status and time",
       "with the wrong time", correct_except([](TraceBuilder& builder) {
         find(builder, Kind::event, "exit", Role::init)->exit->at = kWall;
       })},
      {"an exit is published only of a dead process, with its pid, status and time",
       "without status and time", correct_except([](TraceBuilder& builder) {
         find(builder, Kind::event, "exit", Role::init)->exit.reset();
       })},
  };
  return traces;
}

}  // namespace thinshim::orders
