// SPDX-License-Identifier: Apache-2.0
// Broken traces: wrong answers, and what is left over.
#include "orders/broken_traces.h"

namespace thinshim::orders {

const std::vector<BrokenTrace>& broken_answers() {
  static const std::vector<BrokenTrace> traces = {
      {"Wait, State, Delete and the events agree on status and time",
       "differs from an earlier answer or event", correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Delete", Role::init)->exit->at += 1;
       })},
      {"Wait, State, Delete and the events agree on status and time",
       "differs from an earlier answer or event", correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Wait", Role::init)->exit->status = 1;
       })},
      {"Wait, State, Delete and the events agree on status and time",
       "differs from an earlier answer or event", correct_except([](TraceBuilder& builder) {
         find(builder, Kind::event, "delete", Role::init)->exit->at += 1;
       })},
      {"State reports the true state", "though its exit was published",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.publish_exits();
         builder.state(13, "running", kInit);
         builder.delete_container();
         builder.finish();
       }},
      {"State reports the true state", "though the process is alive",
       [](TraceBuilder& builder) {
         builder.run();
         builder.state(5, "stopped", kInit);
         builder.die_and_finish();
       }},
      {"State reports the true state", "though its start was published",
       [](TraceBuilder& builder) {
         builder.run();
         builder.state(5, "created", kInit);
         builder.die_and_finish();
       }},
      {"State reports the true state", "though its start was not published",
       [](TraceBuilder& builder) {
         builder.create();
         builder.state(5, "running", kInit);
         builder.start();
         builder.add_exec();
         builder.start_exec();
         builder.die_and_finish();
       }},
      {"State reports the true state", "though it was paused",
       [](TraceBuilder& builder) {
         builder.run();
         builder.pause();
         builder.state(13, "running", kInit);
         builder.die_and_finish();
       }},
      {"State reports the true state", "though it was not paused",
       [](TraceBuilder& builder) {
         builder.run();
         builder.state(13, "paused", kInit);
         builder.die_and_finish();
       }},
      {"State reports the true state", "though no pause is under way",
       [](TraceBuilder& builder) {
         builder.run();
         builder.state(13, "pausing", kInit);
         builder.die_and_finish();
       }},
      {"State reports the true state", "without the published status and time",
       correct_except([](TraceBuilder& builder) {
         for (Entry& entry : builder.trace.entries)
           if (entry.number == 13 && entry.kind == Kind::answer) entry.exit.reset();
       })},
      {"a process has one pid", "not the pid of the process",
       correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Start", Role::init)->pid = 7;
       })},
      {"a process has one pid", "not the pid of the process",
       correct_except([](TraceBuilder& builder) {
         find(builder, Kind::event, "create", Role::init)->pid = 7;
       })},
      {"the answers to Create and Start agree with the events", "without TaskCreate",
       correct_except([](TraceBuilder& builder) { extract(builder, Kind::event, "create"); })},
      {"the answers to Create and Start agree with the events", "without the event",
       correct_except([](TraceBuilder& builder) { extract(builder, Kind::event, "start"); })},
      {"the answers to Create and Start agree with the events",
       "though the answer to Start was an error", correct_except([](TraceBuilder& builder) {
         Entry& answer = *find(builder, Kind::answer, "Start", Role::exec1);
         answer.code = Code::unknown;
         answer.pid = 0;
       })},
      {"the answers to Create and Start agree with the events", "though TaskCreate was published",
       correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Create", Role::init)->code = Code::unknown;
       })},
      {"Delete removes a dead process, and refuses a living one", "though the process is alive",
       [](TraceBuilder& builder) {
         builder.run();
         builder.delete_container();
         builder.finish();
       }},
      {"Delete removes a dead process, and refuses a living one",
       "though the process was dead before the request",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.request(15, "Delete");
         builder.answer_error(15, Code::unknown, "cannot delete a running process");
         builder.publish_exits();
         builder.delete_container();
         builder.finish();
       }},
      {"Delete removes a dead process, and refuses a living one",
       "though nothing prevents the deletion", correct_except([](TraceBuilder& builder) {
         builder.trace.entries.pop_back();
         builder.request(15, "Delete");
         builder.answer_error(15, Code::unknown, "no");
         builder.end();
       })},
      {"Delete removes a dead process, and refuses a living one", "before TaskDelete",
       correct_except([](TraceBuilder& builder) { extract(builder, Kind::event, "delete"); })},
      {"Kill kills a living process, and reports that a dead one has finished",
       "though the process was dead before the request",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.request(12, "Kill");
         builder.answer(12);
         builder.publish_exits();
         builder.delete_container();
         builder.finish();
       }},
      {"Kill kills a living process, and reports that a dead one has finished",
       "and the process is alive",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(12, "Kill", Role::exec1);
         builder.answer(12);
         builder.now = 10;
         builder.die_and_finish();
       }},
      {"Kill kills a living process, and reports that a dead one has finished",
       "though the process is alive",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(12, "Kill", Role::exec1);
         builder.answer_error(12, Code::not_found, "process already finished: not found");
         builder.die_and_finish();
       }},
      {"a failed Create or Start leaves no process", "the process that it has created is alive",
       [](TraceBuilder& builder) {
         builder.create();
         builder.start();
         builder.add_exec();
         builder.request(7, "Start", Role::exec1);
         builder.call(3, "exec", Role::exec1);
         builder.create_process(Role::exec1, kExec);
         builder.end_call(3, "killed");
         builder.answer_error(7, Code::unknown, "killed");
         builder.now = 200'000;
         builder.finish();
       }},
      {"nothing is left over", "left over", correct_except([](TraceBuilder& builder) {
         insert_before_end(builder, {.kind = Kind::left_over, .text = "a child"});
       })},
      {"nothing is left over", "left over", correct_except([](TraceBuilder& builder) {
         insert_before_end(builder, {.kind = Kind::left_over, .text = kRuntimeState});
       })},
      {"State reports the true state", "though it has status and time of an exit",
       [](TraceBuilder& builder) {
         builder.run();
         builder.die_all();
         builder.state(13, "running", kInit, Role::init, killed_at(0));
         builder.publish_exits();
         builder.delete_container();
         builder.finish();
       }},
      {"State reports the true state", "though the process is known",
       [](TraceBuilder& builder) {
         builder.run();
         builder.state(13, "unknown", kInit);
         builder.die_and_finish();
       }},
      {"the answers to Create and Start agree with the events", "without a pid",
       correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Create", Role::init)->pid = 0;
       })},
      {"the answers to Create and Start agree with the events", "without a pid",
       correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Start", Role::exec1)->pid = 0;
       })},
      {"the answers to Create and Start agree with the events", "two Starts succeeded",
       [](TraceBuilder& builder) {
         builder.run();
         builder.request(15, "Start");
         builder.answer(15, {.pid = kInit});
         builder.die_and_finish();
       }},
      {"Delete removes a dead process, and refuses a living one", "before its exit",
       correct_except([](TraceBuilder& builder) {
         insert_before_end(builder, extract(builder, Kind::event, "exit"));
       })},
      {"Delete removes a dead process, and refuses a living one", "without status and time",
       correct_except([](TraceBuilder& builder) {
         find(builder, Kind::answer, "Delete", Role::init)->exit.reset();
       })},
  };
  return traces;
}

}  // namespace thinshim::orders
