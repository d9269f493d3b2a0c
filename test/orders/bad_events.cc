// SPDX-License-Identifier: Apache-2.0
// Bad lives: events that are missing, wrong, or in another order.
#include "orders/bad_lives.h"

namespace thinshim::orders {

const std::vector<Bad>& bad_events() {
  static const std::vector<Bad> lives = {
      {"each event comes once", "it comes twice", good_but([](Tale& tale) {
         const auto exit = find(tale, Kind::event, "exit", Who::init);
         tale.trace.entries.insert(exit, Entry(*exit));
       })},
      {"TaskCreate comes first and TaskDelete last", "before TaskCreate", good_but([](Tale& tale) {
         const Entry create = take(tale, Kind::event, "create");
         tale.trace.entries.insert(find(tale, Kind::event, "exec-added", Who::exec1), create);
       })},
      {"TaskCreate comes first and TaskDelete last", "behind TaskDelete",
       good_but([](Tale& tale) { put_before_the_end(tale, take(tale, Kind::event, "resumed")); })},
      {"TaskCreate comes first and TaskDelete last", "before init's exit",
       good_but([](Tale& tale) { take(tale, Kind::event, "exit"); })},
      {"a start is told before its exit, and an exec is added before its start", "behind its exit",
       good_but([](Tale& tale) {
         const Entry start = take(tale, Kind::event, "start");
         tale.trace.entries.insert(find(tale, Kind::event, "delete", Who::init), start);
       })},
      {"a start is told before its exit, and an exec is added before its start",
       "before it was added",
       good_but([](Tale& tale) { take(tale, Kind::event, "exec-added", Who::exec1); })},
      {"a start is told before its exit, and an exec is added before its start",
       "of an exec whose start was not told",
       good_but([](Tale& tale) { take(tale, Kind::event, "exec-started", Who::exec1); })},
      {"nothing starts, pauses or resumes behind init's exit", "behind init's exit",
       [](Tale& tale) {
         tale.run();
         tale.ask(9, "Pause");
         tale.call(4, "pause");
         tale.die_all();
         tale.tell_exits();
         tale.end_call(4);
         tale.tell("paused");
         tale.answer(9);
         tale.remove();
         tale.finish();
       }},
      {"every exec's exit comes before init's", "before an exec's",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.tell_exit(Who::init);
         tale.tell_exit(Who::exec1);
         tale.remove();
         tale.finish();
       }},
      {"every exec's exit comes before init's", "before an exec's",
       [](Tale& tale) {
         tale.trace.signals = Signals::refused;
         tale.run();
         tale.die(Who::init, kInit);
         tale.now = 9'000;  // of ten seconds
         tale.tell_exit(Who::init);
         tale.finish();
       }},
      {"each process that was started has its exit told", "its exit is never told",
       [](Tale& tale) {
         tale.run();
         tale.die_all();
         tale.tell_exit(Who::exec1);
         tale.now = 200'000;
         tale.finish();
       }},
      {"each process that was started has its exit told", "its exit is never told",
       [](Tale& tale) {
         tale.run();
         tale.die(Who::exec1, kExec);
         tale.finish();
       }},
      {"an exit is told of who is dead, with its pid, status and time", "though it lives",
       [](Tale& tale) {
         tale.run();
         tale.tell_exit(Who::exec1);
         tale.finish();
       }},
      {"an exit is told of who is dead, with its pid, status and time", "with another's pid",
       good_but([](Tale& tale) { find(tale, Kind::event, "exit", Who::init)->pid = kExec; })},
      {"an exit is told of who is dead, with its pid, status and time", "with another status",
       good_but([](Tale& tale) { find(tale, Kind::event, "exit", Who::init)->ended->status = 0; })},
      {"an exit is told of who is dead, with its pid, status and time", "at another time",
       good_but([](Tale& tale) { find(tale, Kind::event, "exit", Who::init)->ended->at = kWall; })},
      {"an exit is told of who is dead, with its pid, status and time", "without an end",
       good_but([](Tale& tale) { find(tale, Kind::event, "exit", Who::init)->ended.reset(); })},
  };
  return lives;
}

}  // namespace thinshim::orders
