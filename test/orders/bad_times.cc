// SPDX-License-Identifier: Apache-2.0
// Bad lives: what takes too long.
#include "orders/bad_lives.h"

namespace thinshim::orders {

const std::vector<Bad>& bad_times() {
  static const std::vector<Bad> lives = {
      {"an exit is told in time, whatever hangs", "it takes too long",
       [](Tale& tale) {
         tale.create();
         tale.ask(4, "Start");
         tale.call(2, "start");
         tale.die(Who::init, kInit);
         tale.now = 7'000;
         tale.end_call(2);
         tale.tell("start", Who::init, kInit);
         tale.answer(4, {.pid = kInit});
         tale.tell_exit(Who::init);
         tale.remove();
         tale.finish();
       }},
      {"an exit is told in time, whatever hangs", "it takes too long",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.tell_exit(Who::exec1);
         tale.now = 2'000;
         tale.tell_exit(Who::init);
         tale.remove();
         tale.finish();
       }},
      {"each Wait is answered once there is an exit", "it is never answered",
       good_but([](Tale& tale) { take(tale, Kind::answer, "Wait"); })},
      {"each Wait is answered once there is an exit", "it is late",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.tell_exit(Who::exec1);
         tale.tell("exit", Who::init, kInit, killed_at(0));
         tale.now = 5'000;
         tale.answer(2, {.ended = killed_at(0)});
         tale.remove();
         tale.finish();
       }},
      {"each Wait is answered once there is an exit", "without an end",
       good_but([](Tale& tale) { find(tale, Kind::answer, "Wait", Who::init)->ended.reset(); })},
      {"State and Exec are answered at once", "it takes too long",
       [](Tale& tale) {
         tale.run();
         tale.ask(5, "State");
         tale.now = 4'000;
         tale.answer(5, {.pid = kInit, .state = "running"});
         tale.die_and_finish();
       }},
      {"Delete is bounded", "it takes too long",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.tell_exits();
         tale.ask(15, "Delete");
         tale.now = 180'000;
         tale.refuse(15, Code::unknown, "runtime timed out and was killed");
         tale.remove();
         tale.finish();
       }},
      {"Delete is bounded", "it takes too long",
       [](Tale& tale) {
         tale.run();
         tale.ask(15, "Delete");
         tale.now = 400'000;
         tale.finish();
       }},
      {"SIGKILL is bounded", "it takes too long",
       [](Tale& tale) {
         tale.create();
         tale.ask(4, "Start");
         tale.call(2, "start");
         tale.ask(12, "Kill");
         tale.now = 2'000;
         tale.die(Who::init, kInit);
         tale.answer(12);
         tale.end_call(2, "no");
         tale.refuse(4, Code::unknown, "no");
         tale.finish();
       }},
      {"SIGKILL is bounded", "it takes too long",
       [](Tale& tale) {
         tale.run();
         tale.ask(12, "Kill", Who::exec1);
         tale.now = 20'000;
         tale.die(Who::exec1, kExec);
         tale.answer(12);
         tale.finish();
       }},
      {"every request is answered, or its runtime hangs", "it is never answered",
       [](Tale& tale) {
         tale.run();
         tale.ask(11, "Resume");
         tale.die_and_finish();
       }},
      {"every request is answered, or its runtime hangs",
       "it is not answered, and no call of the runtime hangs",
       [](Tale& tale) {
         tale.run();
         tale.ask(11, "Resume");
         tale.free();
         tale.refuse(11, Code::unknown, "no");
         tale.end();
       }},
      {"no call of the runtime goes on for nobody", "its client has long gone",
       [](Tale& tale) {
         tale.run();
         tale.ask(9, "Pause");
         tale.call(4, "pause");
         tale.hang_up(9);
         tale.now = 60'000;
         tale.end_call(4);
         tale.tell("paused");
         tale.finish();
       }},
      {"no call of the runtime goes on for nobody", "what kills who is left takes too long",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.call(9, "kill", Who::init, "all");
         tale.now = 20'000;
         tale.end_call(9);
         tale.tell_exits();
         tale.remove();
         tale.finish();
       }},
      {"each Wait is answered once there is an exit", "before the event",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.tell_exit(Who::exec1);
         tale.answer(2, {.ended = killed_at(0)});
         tale.tell("exit", Who::init, kInit, killed_at(0));
         tale.remove();
         tale.finish();
       }},
      {"every request is answered, or its runtime hangs", "it is never answered",
       [](Tale& tale) {
         tale.run();
         tale.free();
         tale.ask(15, "Pids");
         tale.end();
       }},
      {"no call of the runtime goes on for nobody", "what undoes a failure takes too long",
       [](Tale& tale) {
         tale.ask(1, "Create");
         tale.call(1, "create");
         tale.end_call(1, "no");
         tale.call(2, "delete", Who::init, "force");
         tale.now = 90'000;
         tale.end_call(2);
         tale.refuse(1, Code::unknown, "no");
         tale.finish();
       }},

  };
  return lives;
}

}  // namespace thinshim::orders
