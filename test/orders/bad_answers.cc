// SPDX-License-Identifier: Apache-2.0
// Bad lives: what clients are told, and what is left.
#include "orders/bad_lives.h"

namespace thinshim::orders {

const std::vector<Bad>& bad_answers() {
  static const std::vector<Bad> lives = {
      {"Wait, State, Delete and the events agree on status and time", "another end was told before",
       good_but([](Tale& tale) { find(tale, Kind::answer, "Delete", Who::init)->ended->at += 1; })},
      {"Wait, State, Delete and the events agree on status and time", "another end was told before",
       good_but(
           [](Tale& tale) { find(tale, Kind::answer, "Wait", Who::init)->ended->status = 1; })},
      {"Wait, State, Delete and the events agree on status and time", "another end was told before",
       good_but([](Tale& tale) { find(tale, Kind::event, "delete", Who::init)->ended->at += 1; })},
      {"State is truthful", "though its exit was told",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.tell_exits();
         tale.state(13, "running", kInit);
         tale.remove();
         tale.finish();
       }},
      {"State is truthful", "though it lives",
       [](Tale& tale) {
         tale.run();
         tale.state(5, "stopped", kInit);
         tale.die_and_finish();
       }},
      {"State is truthful", "though its start was told",
       [](Tale& tale) {
         tale.run();
         tale.state(5, "created", kInit);
         tale.die_and_finish();
       }},
      {"State is truthful", "though its start was not told",
       [](Tale& tale) {
         tale.create();
         tale.state(5, "running", kInit);
         tale.start();
         tale.add_exec();
         tale.start_exec();
         tale.die_and_finish();
       }},
      {"State is truthful", "though it was paused",
       [](Tale& tale) {
         tale.run();
         tale.pause();
         tale.state(13, "running", kInit);
         tale.die_and_finish();
       }},
      {"State is truthful", "though it was not paused",
       [](Tale& tale) {
         tale.run();
         tale.state(13, "paused", kInit);
         tale.die_and_finish();
       }},
      {"State is truthful", "though nobody is pausing it",
       [](Tale& tale) {
         tale.run();
         tale.state(13, "pausing", kInit);
         tale.die_and_finish();
       }},
      {"State is truthful", "without its end, which was told", good_but([](Tale& tale) {
         for (Entry& entry : tale.trace.entries)
           if (entry.number == 13 && entry.kind == Kind::answer) entry.ended.reset();
       })},
      {"a process has one pid", "it has no such pid",
       good_but([](Tale& tale) { find(tale, Kind::answer, "Start", Who::init)->pid = 7; })},
      {"a process has one pid", "it has no such pid",
       good_but([](Tale& tale) { find(tale, Kind::event, "create", Who::init)->pid = 7; })},
      {"Create and Start are answered as the events say", "without TaskCreate",
       good_but([](Tale& tale) { take(tale, Kind::event, "create"); })},
      {"Create and Start are answered as the events say", "without the event",
       good_but([](Tale& tale) { take(tale, Kind::event, "start"); })},
      {"Create and Start are answered as the events say",
       "whoever asked for it was told that it failed", good_but([](Tale& tale) {
         Entry& answer = *find(tale, Kind::answer, "Start", Who::exec1);
         answer.code = Code::unknown;
         answer.pid = 0;
       })},
      {"Create and Start are answered as the events say", "though TaskCreate was told",
       good_but([](Tale& tale) {
         find(tale, Kind::answer, "Create", Who::init)->code = Code::unknown;
       })},
      {"Delete removes who is dead, and refuses who lives", "though it lives",
       [](Tale& tale) {
         tale.run();
         tale.remove();
         tale.finish();
       }},
      {"Delete removes who is dead, and refuses who lives", "though it was dead when it was asked",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.ask(15, "Delete");
         tale.refuse(15, Code::unknown, "cannot delete a running process");
         tale.tell_exits();
         tale.remove();
         tale.finish();
       }},
      {"Delete removes who is dead, and refuses who lives", "though nothing is in the way",
       good_but([](Tale& tale) {
         tale.trace.entries.pop_back();
         tale.ask(15, "Delete");
         tale.refuse(15, Code::unknown, "no");
         tale.end();
       })},
      {"Delete removes who is dead, and refuses who lives", "before TaskDelete",
       good_but([](Tale& tale) { take(tale, Kind::event, "delete"); })},
      {"Kill kills who lives, and says so of who is dead", "though it was dead when it was asked",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.ask(12, "Kill");
         tale.answer(12);
         tale.tell_exits();
         tale.remove();
         tale.finish();
       }},
      {"Kill kills who lives, and says so of who is dead", "and it lives",
       [](Tale& tale) {
         tale.run();
         tale.ask(12, "Kill", Who::exec1);
         tale.answer(12);
         tale.now = 10;
         tale.die_and_finish();
       }},
      {"Kill kills who lives, and says so of who is dead", "though it lives",
       [](Tale& tale) {
         tale.run();
         tale.ask(12, "Kill", Who::exec1);
         tale.refuse(12, Code::not_found, "process already finished: not found");
         tale.die_and_finish();
       }},
      {"a Create or a Start that fails leaves nobody", "what was made for it lives",
       [](Tale& tale) {
         tale.create();
         tale.start();
         tale.add_exec();
         tale.ask(7, "Start", Who::exec1);
         tale.call(3, "exec", Who::exec1);
         tale.make(Who::exec1, kExec);
         tale.end_call(3, "killed");
         tale.refuse(7, Code::unknown, "killed");
         tale.now = 200'000;
         tale.finish();
       }},
      {"nothing is left", "it is left", good_but([](Tale& tale) {
         put_before_the_end(tale, {.kind = Kind::left, .text = "a child"});
       })},
      {"nothing is left", "it is left", good_but([](Tale& tale) {
         put_before_the_end(tale, {.kind = Kind::left, .text = kRuntimeState});
       })},
      {"State is truthful", "though it has an end",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.state(13, "running", kInit, Who::init, killed_at(0));
         tale.tell_exits();
         tale.remove();
         tale.finish();
       }},
      {"State is truthful", "though it is known",
       [](Tale& tale) {
         tale.run();
         tale.state(13, "unknown", kInit);
         tale.die_and_finish();
       }},
      {"Create and Start are answered as the events say", "without a pid",
       good_but([](Tale& tale) { find(tale, Kind::answer, "Create", Who::init)->pid = 0; })},
      {"Create and Start are answered as the events say", "without a pid",
       good_but([](Tale& tale) { find(tale, Kind::answer, "Start", Who::exec1)->pid = 0; })},
      {"Create and Start are answered as the events say", "it was granted twice",
       [](Tale& tale) {
         tale.run();
         tale.ask(15, "Start");
         tale.answer(15, {.pid = kInit});
         tale.die_and_finish();
       }},
      {"Delete removes who is dead, and refuses who lives", "before its exit",
       good_but([](Tale& tale) { put_before_the_end(tale, take(tale, Kind::event, "exit")); })},
      {"Delete removes who is dead, and refuses who lives", "without an end",
       good_but([](Tale& tale) { find(tale, Kind::answer, "Delete", Who::init)->ended.reset(); })},
  };
  return lives;
}

}  // namespace thinshim::orders
