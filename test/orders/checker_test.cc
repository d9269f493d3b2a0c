// SPDX-License-Identifier: Apache-2.0
// The checker finds nothing in a good life, and in each bad one the promise that it breaks.
#include "orders/checker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

namespace thinshim::orders {
namespace {

constexpr std::int64_t kWall = 1'000'000'000'000;
constexpr pid_t kInit = 100;
constexpr pid_t kExec = 101;
Ended killed_at(std::int64_t ms) { return {137, kWall + ms * 1'000'000}; }

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

Trace told(const std::function<void(Tale&)>& tell) {
  Tale tale;
  tell(tale);
  return tale.trace;
}

void good_life(Tale& tale) {
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

// The place of the `nth` entry like that.
std::vector<Entry>::iterator find(Tale& tale, Kind kind, const std::string& verb, Who who) {
  const auto found = std::ranges::find_if(tale.trace.entries, [&](const Entry& entry) {
    return entry.kind == kind && entry.verb == verb && entry.who == who;
  });
  if (found == tale.trace.entries.end()) throw std::logic_error("no such entry");
  return found;
}
Entry take(Tale& tale, Kind kind, const std::string& verb, Who who = Who::init) {
  const auto found = find(tale, kind, verb, who);
  const Entry entry = *found;
  tale.trace.entries.erase(found);
  return entry;
}
void put_before_the_end(Tale& tale, const Entry& entry) {
  tale.trace.entries.insert(tale.trace.entries.end() - 2, entry);
}

struct Bad {
  const char* promise;
  const char* reason;
  std::function<void(Tale&)> tell;
};

// A good life, and then what is changed in it.
std::function<void(Tale&)> good_but(std::function<void(Tale&)> change) {
  return [change](Tale& tale) {
    good_life(tale);
    change(tale);
  };
}

const std::vector<Bad> kBad = {
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
       tale.trace.signals_refused = true;
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
    {"Wait, State, Delete and the events agree on status and time", "another end was told before",
     good_but([](Tale& tale) { find(tale, Kind::answer, "Delete", Who::init)->ended->at += 1; })},
    {"Wait, State, Delete and the events agree on status and time", "another end was told before",
     good_but([](Tale& tale) { find(tale, Kind::answer, "Wait", Who::init)->ended->status = 1; })},
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
     good_but(
         [](Tale& tale) { find(tale, Kind::answer, "Create", Who::init)->code = Code::unknown; })},
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
       tale.refuse(15, Code::unknown, "it took too long");
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
    {"an exit is told of who is dead, with its pid, status and time", "without an end",
     good_but([](Tale& tale) { find(tale, Kind::event, "exit", Who::init)->ended.reset(); })},
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

std::string text_of(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    text += finding.rule + ": " + finding.reason + ": " + finding.what + "\n";
  return text;
}

TEST(Checker, FindsNothingInAGoodLife) { EXPECT_EQ(text_of(broken_promises(told(good_life))), ""); }

TEST(Checker, FindsThePromiseThatABadLifeBreaks) {
  for (const Bad& bad : kBad) {
    const std::vector<Finding> findings = broken_promises(told(bad.tell));
    EXPECT_TRUE(std::ranges::any_of(findings,
                                    [&](const Finding& finding) {
                                      return finding.rule == bad.promise &&
                                             finding.reason == bad.reason;
                                    }))
        << bad.promise << ": " << bad.reason << "; found:\n"
        << text_of(findings);
  }
}

TEST(Checker, HasABadLifeForEachPromise) {
  std::set<std::string> tried, all;
  for (const Bad& bad : kBad) tried.insert(bad.promise);
  for (const Rule& rule : rules()) all.insert(rule.promise);
  EXPECT_EQ(tried, all);
}

// What may hold up an exit does so for its time, and no promise is broken.
TEST(Checker, AllowsWhatHangsItsTime) {
  const auto held_up = [](Tale& tale) {
    tale.trace.own_pid_namespace = false;
    tale.create();
    tale.ask(4, "Start");
    tale.call(2, "start");
    tale.die(Who::init, kInit);
    tale.now = 5'000;
    tale.end_call(2, "given up");
    tale.refuse(4, Code::unknown, "it took too long and was killed");
    tale.call(3, "kill", Who::init, "all");
    tale.now = 15'000;
    tale.end_call(3, "given up");
    tale.tell_exit(Who::init);
    tale.remove();
    tale.finish();
  };
  EXPECT_EQ(text_of(broken_promises(told(held_up))), "");
}

TEST(Checker, AllowsAnExecThatCannotBeKilledToOutliveInit) {
  const auto outlived = [](Tale& tale) {
    tale.trace.own_pid_namespace = false;
    tale.trace.signals_refused = true;
    tale.run();
    tale.die(Who::init, kInit);
    tale.call(9, "kill", Who::init, "all");
    tale.end_call(9, "operation not permitted");
    tale.now = 10'000;
    tale.tell_exit(Who::init);
    tale.free();
    tale.die(Who::exec1, kExec);
    tale.died_at = tale.now;
    tale.tell_exit(Who::exec1);
    tale.died_at = 0;
    tale.remove();
    tale.end();
  };
  EXPECT_EQ(text_of(broken_promises(told(outlived))), "");
}

}  // namespace
}  // namespace thinshim::orders
