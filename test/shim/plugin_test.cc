// SPDX-License-Identifier: Apache-2.0
#include "shim/plugin.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"

namespace thinshim {
namespace {

using Names = std::vector<std::string>;

// Plugins "TYPE.ID" that record when they start.
class PluginGraph : public testing::Test {
 protected:
  void add(const std::string& type, const std::string& id, Names needs = {}, SkipReason skip = {}) {
    plugins_.push_back({type, id, std::move(needs), [this, name = type + "." + id, skip] {
                          started_.push_back(name);
                          return skip;
                        }});
  }
  void add_throwing(const std::string& type, const std::string& id, Error error) {
    plugins_.push_back({type, id, {}, [error]() -> SkipReason { throw error; }});
  }
  Names load() { return load_plugins(plugins_, disabled_); }
  std::string refusal(Code code) {
    try {
      load();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return "accepted";
  }

  std::vector<Plugin> plugins_;
  Names disabled_;
  Names started_;
};

TEST_F(PluginGraph, StartsAShimsPlugins) {
  add("io.containerd.ttrpc.v1", "task", {"io.containerd.event.v1", "io.containerd.internal.v1"});
  add("io.containerd.internal.v1", "shutdown");
  add("io.containerd.event.v1", "publisher");
  Names expected{"io.containerd.internal.v1.shutdown", "io.containerd.event.v1.publisher",
                 "io.containerd.ttrpc.v1.task"};
  EXPECT_EQ(load(), expected) << "those needed come first, in the order given";
  EXPECT_EQ(started_, expected);
}

TEST_F(PluginGraph, HasAnOrderBeforeAnythingIsStarted) {
  add("b", "1", {"a"});
  add("a", "1");
  add("a", "2");
  disabled_ = {"a.2"};
  EXPECT_EQ(plugin_order(plugins_, disabled_), (Names{"a.1", "b.1"}));
  disabled_ = {"a.1", "a.2"};
  EXPECT_THROW(plugin_order(plugins_, disabled_), Error);
  EXPECT_EQ(started_, Names());
}

TEST_F(PluginGraph, KeepsTheGivenOrderWithoutDependencies) {
  for (const char* id : {"c", "a", "b"}) add("t", id);
  EXPECT_EQ(load(), (Names{"t.c", "t.a", "t.b"}));
}

TEST_F(PluginGraph, FollowsNeedsOverSeveralSteps) {
  add("d", "1", {"c", "b"});
  add("c", "1", {"b"});
  add("b", "1", {"a"});
  add("a", "1");
  add("e", "1");
  EXPECT_EQ(load(), (Names{"a.1", "b.1", "c.1", "d.1", "e.1"}));
}

TEST_F(PluginGraph, StartsAllOfANeededType) {
  add("user", "1", {"t"});
  add("t", "1");
  add("t", "2");
  EXPECT_EQ(load(), (Names{"t.1", "t.2", "user.1"}));
}

TEST_F(PluginGraph, APluginMayNeedOthersOfItsOwnType) {
  add("t", "late", {"t"});
  add("t", "early");
  EXPECT_EQ(load(), (Names{"t.early", "t.late"}));
}

TEST_F(PluginGraph, NamesTheMembersOfACycle) {
  add("root", "1", {"a"});
  add("a", "1", {"b"});
  add("b", "1", {"c"});
  add("c", "1", {"a"});
  EXPECT_EQ(refusal(Code::failed_precondition),
            "plugin dependency cycle: a.1 -> b.1 -> c.1 -> a.1: failed precondition");
  EXPECT_EQ(started_, Names{});
}

TEST_F(PluginGraph, RefusesTwoThatNeedTheirOwnType) {
  add("t", "1", {"t"});
  add("t", "2", {"t"});
  EXPECT_EQ(refusal(Code::failed_precondition),
            "plugin dependency cycle: t.1 -> t.2 -> t.1: failed precondition");
}

TEST_F(PluginGraph, RefusesANeedThatNoPluginMeets) {
  add("a", "1");
  add("b", "1", {"a", "io.unknown.v1"});
  EXPECT_EQ(refusal(Code::failed_precondition),
            "plugin b.1 needs io.unknown.v1, which no plugin provides: failed precondition");
  EXPECT_EQ(started_, Names{});
}

TEST_F(PluginGraph, RefusesAPluginThatNeedsOnlyItself) {
  add("a", "1", {"a"});
  EXPECT_EQ(refusal(Code::failed_precondition),
            "plugin a.1 needs a, which no plugin provides: failed precondition");
}

TEST_F(PluginGraph, RefusesTwoOfOneName) {
  add("a", "1");
  add("a", "1");
  EXPECT_EQ(refusal(Code::already_exists), "plugin a.1: already exists");
  EXPECT_EQ(started_, Names{});
}

TEST_F(PluginGraph, LeavesOutWhatIsDisabled) {
  add("a", "1");
  add("a", "2");
  add("b", "1", {"a"});
  disabled_ = {"a.1"};
  EXPECT_EQ(load(), (Names{"a.2", "b.1"}));
}

TEST_F(PluginGraph, ADisabledPluginMayNeedWhatDoesNotExist) {
  add("a", "1", {"nothing"});
  disabled_ = {"a.1"};
  EXPECT_EQ(load(), Names{});
}

TEST_F(PluginGraph, RefusesTheUserOfADisabledPlugin) {
  add("a", "1");
  add("b", "1", {"a"});
  disabled_ = {"a.1"};
  EXPECT_EQ(refusal(Code::failed_precondition),
            "plugin b.1 needs a.1, which is disabled: failed precondition");
  EXPECT_EQ(started_, Names{});
}

TEST_F(PluginGraph, RefusesToDisableWhatDoesNotExist) {
  add("a", "1");
  disabled_ = {"a.l"};
  EXPECT_EQ(refusal(Code::not_found), "disabled plugin \"a.l\": not found");
}

TEST_F(PluginGraph, GoesOnWithoutASkippedPlugin) {
  add("a", "1", {}, "not on this machine");
  add("b", "1");
  EXPECT_EQ(load(), (Names{"b.1"}));
  EXPECT_EQ(started_, (Names{"a.1", "b.1"}));
}

TEST_F(PluginGraph, NeedsOnlyOneRunningPluginOfAType) {
  add("a", "1", {}, "not here");
  add("a", "2");
  add("b", "1", {"a"});
  EXPECT_EQ(load(), (Names{"a.2", "b.1"}));
}

TEST_F(PluginGraph, RefusesTheUserOfASkippedPlugin) {
  add("a", "1", {}, "not here");
  add("b", "1", {"a"});
  EXPECT_EQ(refusal(Code::failed_precondition),
            "plugin b.1 needs a.1, which was skipped: not here: failed precondition");
  EXPECT_EQ(started_, (Names{"a.1"}));
}

TEST_F(PluginGraph, NamesThePluginThatFailed) {
  add_throwing("a", "1", Error::not_found("socket"));
  add("b", "1");
  EXPECT_EQ(refusal(Code::not_found), "failed to load plugin a.1: socket: not found");
  EXPECT_EQ(started_, Names{});
}

TEST_F(PluginGraph, LogsASkippedPlugin) {
  Pipe pipe = make_pipe();
  log::set_sink(std::move(pipe.write));
  log::set_level(log::Level::info);
  add("a", "1", {}, "not here");
  load();
  log::set_sink(Fd());
  std::string line = read_all(pipe.read.get(), 4096, "log");
  EXPECT_NE(line.find("level=info msg=\"skip loading plugin\" id=a.1 type=a error=\"not here\"\n"),
            std::string::npos)
      << line;
}

}  // namespace
}  // namespace thinshim
