// SPDX-License-Identifier: Apache-2.0
// Every pair of state and verb. The expectations are those of the stock shim at 2.4.0-beta.0
// (cmd/containerd-shim-runc-v2/process/init_state.go, exec_state.go, deleted_state.go).
#include "task/state.h"

#include <gtest/gtest.h>

#include <string>

namespace thinshim {
namespace {

struct Expected {
  State from;
  Verb verb;
  std::optional<State> to;
  std::string refusal;
  Code code = Code::unknown;
};

constexpr State C = State::created, R = State::running, P = State::paused, S = State::stopped,
                D = State::deleted, X = State::exited;

const Expected kInit[] = {
    {C, Verb::start, R, ""},
    {C, Verb::pause, {}, "cannot pause task in created state"},
    {C, Verb::resume, {}, "cannot resume task in created state"},
    {C, Verb::update, C, ""},
    {C, Verb::checkpoint, {}, "cannot checkpoint a task in created state"},
    {C, Verb::exec, C, ""},
    {C, Verb::kill, C, ""},
    {C, Verb::remove, D, ""},
    {C, Verb::resize, C, ""},
    {C, Verb::exit, X, ""},

    {R, Verb::start, {}, "cannot start a running process"},
    {R, Verb::pause, P, ""},
    {R, Verb::resume, {}, "cannot resume a running process"},
    {R, Verb::update, R, ""},
    {R, Verb::checkpoint, R, ""},
    {R, Verb::exec, R, ""},
    {R, Verb::kill, R, ""},
    {R, Verb::remove, {}, "cannot delete a running process"},
    {R, Verb::resize, R, ""},
    {R, Verb::exit, X, ""},

    {P, Verb::start, {}, "cannot start a paused process"},
    {P, Verb::pause, {}, "cannot pause a paused container"},
    {P, Verb::resume, R, ""},
    {P, Verb::update, P, ""},
    {P, Verb::checkpoint, P, ""},
    {P, Verb::exec, {}, "cannot exec in a paused state"},
    {P, Verb::kill, P, ""},
    {P, Verb::remove, {}, "cannot delete a paused process"},
    {P, Verb::resize, P, ""},
    {P, Verb::exit, X, ""},

    {X, Verb::start, {}, "cannot start a stopped process"},
    {X, Verb::pause, {}, "cannot pause a stopped container"},
    {X, Verb::resume, {}, "cannot resume a stopped container"},
    {X, Verb::update, {}, "cannot update a stopped container"},
    {X, Verb::checkpoint, {}, "cannot checkpoint a stopped container"},
    {X, Verb::exec, {}, "cannot exec in a stopped state"},
    {X, Verb::kill, X, ""},
    {X, Verb::remove, {}, "cannot delete a stopped container"},
    {X, Verb::resize, X, ""},
    {X, Verb::publish, S, ""},

    {S, Verb::start, {}, "cannot start a stopped process"},
    {S, Verb::pause, {}, "cannot pause a stopped container"},
    {S, Verb::resume, {}, "cannot resume a stopped container"},
    {S, Verb::update, {}, "cannot update a stopped container"},
    {S, Verb::checkpoint, {}, "cannot checkpoint a stopped container"},
    {S, Verb::exec, {}, "cannot exec in a stopped state"},
    {S, Verb::kill, S, ""},
    {S, Verb::remove, D, ""},
    {S, Verb::resize, S, ""},

    {D, Verb::start, {}, "cannot start a deleted process"},
    {D, Verb::pause, {}, "cannot pause a deleted process"},
    {D, Verb::resume, {}, "cannot resume a deleted process"},
    {D, Verb::update, {}, "cannot update a deleted process"},
    {D, Verb::checkpoint, {}, "cannot checkpoint a deleted process"},
    {D, Verb::exec, {}, "cannot exec in a deleted state"},
    {D, Verb::kill, {}, "cannot kill a deleted process: not found", Code::not_found},
    {D, Verb::remove, {}, "cannot delete a deleted process: not found", Code::not_found},
    {D, Verb::resize, {}, "cannot resize a deleted process"},
};

const Expected kExec[] = {
    {C, Verb::start, R, ""},
    {C, Verb::kill, C, ""},
    {C, Verb::remove, D, ""},
    {C, Verb::resize, C, ""},
    {C, Verb::exit, X, ""},

    {R, Verb::start, {}, "cannot start a running process"},
    {R, Verb::kill, R, ""},
    {R, Verb::remove, {}, "cannot delete a running process"},
    {R, Verb::resize, R, ""},
    {R, Verb::exit, X, ""},

    {X, Verb::start, {}, "cannot start a stopped process"},
    {X, Verb::kill, X, ""},
    {X, Verb::remove, {}, "cannot delete a stopped container"},
    {X, Verb::resize, X, ""},
    {X, Verb::publish, S, ""},

    {S, Verb::start, {}, "cannot start a stopped process"},
    {S, Verb::kill, S, ""},
    {S, Verb::remove, D, ""},
    {S, Verb::resize, {}, "cannot resize a stopped container"},

    {D, Verb::start, {}, "cannot start a deleted process"},
    {D, Verb::kill, {}, "cannot kill a deleted process: not found", Code::not_found},
    {D, Verb::remove, {}, "cannot delete a deleted process: not found", Code::not_found},
    {D, Verb::resize, {}, "cannot resize a deleted process"},
};

template <std::size_t N>
void check(const Rule (&rules)[N], const Expected& expected) {
  SCOPED_TRACE("state " + std::to_string(static_cast<int>(expected.from)) + ", verb " +
               std::to_string(static_cast<int>(expected.verb)));
  EXPECT_EQ(next(rules, expected.from, expected.verb), expected.to);
  if (expected.to) return;
  Error reason = refusal(expected.from, expected.verb);
  EXPECT_EQ(reason.what(), expected.refusal);
  EXPECT_EQ(reason.code(), expected.code);
}

TEST(State, AllowsInitWhatTheStockShimAllowsAndRefusesInItsWords) {
  for (const Expected& expected : kInit) check(kInitRules, expected);
}

TEST(State, AllowsExecsWhatTheStockShimAllowsAndRefusesInItsWords) {
  for (const Expected& expected : kExec) check(kExecRules, expected);
}

// A verb that an exec does not have, or an exit after another, changes no state.
TEST(State, HasNoOtherRules) {
  for (State from : {C, R, P, X, S, D}) {
    for (Verb verb : {Verb::pause, Verb::resume, Verb::update, Verb::checkpoint, Verb::exec})
      EXPECT_EQ(next(kExecRules, from, verb), std::nullopt);
    EXPECT_EQ(next(kExecRules, P, Verb::start), std::nullopt) << "an exec is never paused itself";
  }
  for (State from : {X, S, D}) {
    EXPECT_EQ(next(kInitRules, from, Verb::exit), std::nullopt);
    EXPECT_EQ(next(kExecRules, from, Verb::exit), std::nullopt);
  }
  for (State from : {C, R, P, S, D}) {
    EXPECT_EQ(next(kInitRules, from, Verb::publish), std::nullopt);
    EXPECT_EQ(next(kExecRules, from, Verb::publish), std::nullopt);
  }
}

}  // namespace
}  // namespace thinshim
