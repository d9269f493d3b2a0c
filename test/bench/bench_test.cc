// SPDX-License-Identifier: Apache-2.0
// The benchmark works: it gives every row in one round, and leaves nothing behind. The figures are
// not checked.
#include <gtest/gtest.h>
#include <signal.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "support/cgroups.h"
#include "support/ctr.h"
#include "support/processes.h"
#include "support/temp_dir.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}

std::string read(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

Words bench(const Words& arguments) {
  return Words{variable("THINSHIM_BENCH"), "--peer", "thinshim=" + variable("THINSHIM_BINARY"),
               "--peer", "stock=/usr/bin/containerd-shim-runc-v2"} +
         arguments;
}

Words rows() {
  std::istringstream lines(run({variable("THINSHIM_BENCH"), "--list"}).out);
  Words names;
  for (std::string line; std::getline(lines, line);)
    names.push_back(line.substr(0, line.find(' ')));
  return names;
}

TEST(Bench, GivesEveryRowForEveryPeerInOneRound) {
  TempDir directory;
  const Outcome outcome = run(bench({"--rounds", "1", "--json", directory / "figures.json", "--svg",
                                     directory / "chart.svg"}),
                              {}, Duration(std::chrono::minutes(4)));
  ASSERT_TRUE(outcome.ok()) << outcome;

  // JSON is a subset of YAML, and clang rejects RapidJSON's reader.
  Words found;
  for (const YAML::Node& row : YAML::LoadFile(directory / "figures.json")["rows"]) {
    found.push_back(row["name"].as<std::string>());
    for (const char* peer : {"thinshim", "stock"}) {
      const YAML::Node figures = row["figures"][peer];
      ASSERT_TRUE(figures) << found.back();
      EXPECT_GT(figures["count"].as<int>(), 0) << found.back();
      EXPECT_TRUE(std::isfinite(figures["median"].as<double>())) << found.back();
    }
    EXPECT_NE(outcome.out.find(row["title"].as<std::string>()), std::string::npos) << found.back();
  }
  EXPECT_EQ(found, rows());
  EXPECT_EQ(read(directory / "chart.svg").rfind("<svg ", 0), 0u);
}

TEST(Bench, SaysHowEachRowIsMeasured) {
  const std::string text = read(fs::path(variable("THINSHIM_SOURCE")) / "test/bench/README.md");
  for (const std::string& row : rows())
    EXPECT_NE(text.find("`" + row + "`"), std::string::npos) << row;
}

TEST(Bench, RefusesWhatItDoesNotKnow) {
  for (const Words& arguments : {Words{"no-such-row"}, Words{"--what"}, Words{"--rounds", "0"},
                                 Words{"--rounds"}, Words{"--peer", "name"}}) {
    const Outcome outcome = run(bench(arguments));
    EXPECT_EQ(outcome.exit_code, 1) << outcome;
    EXPECT_NE(outcome.err.find("usage: "), std::string::npos) << outcome;
  }
}

TEST(Bench, FailsWhereAPeerIsNoShim) {
  const Outcome outcome = run(bench({"--peer", "other=/bin/true", "--rounds", "1", "call"}));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("no address"), std::string::npos) << outcome;
}

// Files whose name begins with that of a run.
std::vector<Process> processes_of(const std::string& name) {
  std::vector<Process> found = processes();
  std::erase_if(found, [&](const Process& one) {
    return one.command().find(name + "-") == std::string::npos;
  });
  return found;
}

TEST(Bench, LeavesNothingWhenItIsInterrupted) {
  Subprocess running(bench({"--rounds", "1000", "call"}));
  // Its containerd namespaces, which are in a shim's command line, begin with its name.
  std::string name;
  ASSERT_TRUE(eventually([&] {
    for (const Process& one : processes()) {
      const auto word = std::find(one.arguments.begin(), one.arguments.end(), "-namespace");
      if (word == one.arguments.end() || one.arguments[0] != variable("THINSHIM_BINARY")) continue;
      name = (word + 1)->substr(0, (word + 1)->rfind('-'));
    }
    return !name.empty() && !cgroups_of_containers(name + "-2").empty();
  }));
  running.signal(SIGINT);
  EXPECT_NE(running.wait().exit_code, 0);
  EXPECT_TRUE(processes_of(name).empty()) << processes_of(name)[0].command();
  EXPECT_FALSE(fs::exists("/tmp/" + name));
  for (int i = 1; i < 10; ++i)
    EXPECT_TRUE(cgroups_named(name + "-" + std::to_string(i)).empty()) << i;
}

}  // namespace
}  // namespace thinshim::test
