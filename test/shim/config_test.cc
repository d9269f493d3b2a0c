// SPDX-License-Identifier: Apache-2.0
#include "shim/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "stdio/process_io.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using std::chrono::milliseconds;
using test::TempDir;
using Names = std::vector<std::string>;

std::string refusal_of(const std::string& text) {
  try {
    parse_config(text, "c.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "accepted";
}

// A configuration whose third line is inside the task's section.
std::string task_section(const std::string& lines) {
  return "version: 1\nplugins: {io.containerd.ttrpc.v1.task: {\n" + lines + "\n}}\n";
}

const char* kEverything = R"(# all that can be said
version: 1
log:
  level: debug
disabled_plugins: [io.containerd.event.v1.publisher]
plugins:
  io.containerd.ttrpc.v1.task:
    runtime:
      binary: crun
      root: "/run/crun"
      systemd_cgroup: true
      direct_signals: [my-runc]
    stdio: {pipe_size: 64KiB, drain_timeout: 1m30s500ms}
    signal_delay: 50ms
    idle_timeout: 2m
    binary_logger:
      allow:
        - /usr/local/bin/*
        - '/opt/log?'
  io.containerd.event.v1.publisher: {max_queued: 10}
)";

TEST(Config, HasDefaults) {
  for (const char* text : {"", "\n# nothing\n", "---\n", "version: 1\n",
                           "version: 1\nlog:\nplugins:\n  io.containerd.ttrpc.v1.task:\n"}) {
    Config config = parse_config(text, "c.yaml");
    EXPECT_EQ(config.log_level, log::Level::info) << text;
    EXPECT_EQ(config.disabled_plugins, Names{});
    EXPECT_EQ(config.task.runtime.binary, "runc");
    EXPECT_EQ(config.task.runtime.root, "/run/containerd/runc");
    EXPECT_FALSE(config.task.runtime.systemd_cgroup);
    EXPECT_EQ(config.task.stdio.pipe_size, 1048576u);
    EXPECT_EQ(config.task.stdio.drain_timeout, milliseconds(4000));
    EXPECT_EQ(config.task.signal_delay, milliseconds(30));
    EXPECT_EQ(config.task.idle_timeout, milliseconds(30000));
    EXPECT_FALSE(config.task.allowed_loggers);
    EXPECT_EQ(config.task.stdio.pipe_size, StdioOptions().pipe_size) << "the tests of stdio's";
    EXPECT_EQ(config.task.stdio.drain_timeout, StdioOptions().drain_timeout);
    EXPECT_EQ(config.publisher.max_queued, 65536u);
  }
}

TEST(Config, ReadsEveryKey) {
  Config config = parse_config(kEverything, "c.yaml");
  EXPECT_EQ(config.log_level, log::Level::debug);
  EXPECT_EQ(config.disabled_plugins, Names{"io.containerd.event.v1.publisher"});
  EXPECT_EQ(config.task.runtime.binary, "crun");
  EXPECT_EQ(config.task.runtime.root, "/run/crun");
  EXPECT_TRUE(config.task.runtime.systemd_cgroup);
  EXPECT_EQ(config.task.runtime.direct_signals, Names{"my-runc"});
  EXPECT_EQ(config.task.stdio.pipe_size, 65536u);
  EXPECT_EQ(config.task.stdio.drain_timeout, milliseconds(90500));
  EXPECT_EQ(config.task.signal_delay, milliseconds(50));
  EXPECT_EQ(config.task.idle_timeout, milliseconds(120000));
  EXPECT_EQ(config.task.allowed_loggers, (Names{"/usr/local/bin/*", "/opt/log?"}));
  EXPECT_EQ(config.publisher.max_queued, 10u);
}

TEST(Config, KeepsTheDefaultsOfKeysThatAreMissing) {
  Config config = parse_config(task_section("runtime: {root: /r}"), "c.yaml");
  EXPECT_EQ(config.task.runtime.root, "/r");
  EXPECT_EQ(config.task.runtime.binary, "runc");
  EXPECT_EQ(config.task.stdio.pipe_size, 1048576u);
}

TEST(Config, ReadsSizesAndDurations) {
  const struct {
    const char* text;
    std::uint64_t bytes;
  } sizes[] = {{"4096", 4096},     {"4096B", 4096},        {"4KiB", 4096},
               {"1MiB", 1u << 20}, {"\"1MiB\"", 1u << 20}, {"1GiB", 1u << 30}};
  for (const auto& size : sizes) {
    Config config =
        parse_config(task_section(std::string("stdio: {pipe_size: ") + size.text + "}"), "c");
    EXPECT_EQ(config.task.stdio.pipe_size, size.bytes) << size.text;
  }
  const struct {
    const char* text;
    int milliseconds;
  } durations[] = {{"500ms", 500},  {"4s", 4000},       {"1m", 60000},
                   {"1h", 3600000}, {"1m1s1ms", 61001}, {"0s", 0}};
  for (const auto& duration : durations) {
    Config config = parse_config(
        task_section(std::string("stdio: {drain_timeout: ") + duration.text + "}"), "c");
    EXPECT_EQ(config.task.stdio.drain_timeout, milliseconds(duration.milliseconds))
        << duration.text;
  }
}

// A shorter timeout would expire before containerd has called Create.
TEST(Config, RefusesAnIdleTimeoutBelowASecond) {
  for (const char* time : {"0s", "999ms"})
    EXPECT_EQ(
        refusal_of(task_section(std::string("idle_timeout: ") + time)),
        "c.yaml:3: plugins.io.containerd.ttrpc.v1.task.idle_timeout: out of range: 1s to 24h");
}

TEST(Config, RefusesNonsenseAsSizesAndDurations) {
  for (const char* text : {"big", "1 MiB", "1MB", "-1", "1.5MiB", "0x1000", "KiB", "[1]", "",
                           "99999999999999999999"}) {
    EXPECT_EQ(
        refusal_of(task_section(std::string("stdio: {pipe_size: ") + text + "}"))
            .find("c.yaml:3: plugins.io.containerd.ttrpc.v1.task.stdio.pipe_size: expected a size"),
        0u)
        << text;
  }
  for (const char* text : {"4", "4sec", "s", "1.5s", "-1s", "1s-", "{}"}) {
    EXPECT_EQ(refusal_of(task_section(std::string("stdio: {drain_timeout: ") + text + "}"))
                  .find("c.yaml:3: plugins.io.containerd.ttrpc.v1.task.stdio.drain_timeout: "
                        "expected a duration"),
              0u)
        << text;
  }
  for (const char* text :
       {"4095", "0", "2GiB", "1GiB1B", "18446744073709551615", "18446744073709551615B1B"}) {
    EXPECT_EQ(
        refusal_of(task_section(std::string("stdio: {pipe_size: ") + text + "}")),
        "c.yaml:3: plugins.io.containerd.ttrpc.v1.task.stdio.pipe_size: out of range: 4KiB to 1GiB")
        << text;
  }
}

TEST(Config, NamesTheLineAndTheKeyOfAnError) {
  const struct {
    const char* text;
    const char* refusal;
  } cases[] = {
      {"version: 1\nlogg: {}\n",
       "c.yaml:2: logg: unknown key: expected version, log, disabled_plugins, plugins"},
      {"version: 1\nlog:\n  level: info\n  colour: red\n",
       "c.yaml:4: log.colour: unknown key: expected level"},
      {"version: 1\nplugins:\n  io.containerd.ttrpc.v1.tusk: {}\n",
       "c.yaml:3: plugins.io.containerd.ttrpc.v1.tusk: unknown key: expected "
       "io.containerd.ttrpc.v1.task, io.containerd.event.v1.publisher"},
      {"version: 1\n\nversion: 1\n", "c.yaml:3: version: duplicate key"},
      {"log: {level: info}\n", "c.yaml:1: version: missing, expected 1"},
      {"version: 2\n", "c.yaml:1: version: expected 1, found \"2\""},
      {"version: '1'\n", "c.yaml:1: version: expected 1, found \"1\""},
      {"version:\n", "c.yaml:1: version: expected 1, found nothing"},
      {"- 1\n", "c.yaml:1: expected a map, found a list"},
      {"runc\n", "c.yaml:1: expected a map, found \"runc\""},
      {"version: 1\nlog: info\n", "c.yaml:2: log: expected a map, found \"info\""},
      {"version: 1\nlog: {level: loud}\n",
       "c.yaml:2: log.level: expected error, warning, info or debug, found \"loud\""},
      {"version: 1\nlog: {level: 5}\n", "c.yaml:2: log.level: expected a string, found \"5\""},
      {"version: 1\ndisabled_plugins: task\n",
       "c.yaml:2: disabled_plugins: expected a list, found \"task\""},
      {"version: 1\ndisabled_plugins:\n- a\n- [b]\n",
       "c.yaml:4: disabled_plugins: expected a string, found a list"},
      {"version: 1\n? [a]\n: b\n", "c.yaml:2: expected a string as key"},
      {"version: 1\n---\nversion: 1\n", "c.yaml:2: expected the end of the document"},
      {"version: 1\n\"a\\nb\": 1\n",
       "c.yaml:2: a\\nb: unknown key: expected version, log, disabled_plugins, plugins"},
  };
  for (const auto& c : cases) EXPECT_EQ(refusal_of(c.text), c.refusal) << c.text;
}

TEST(Config, RefusesTheWrongTypeForEveryKindOfValue) {
  const struct {
    const char* line;
    const char* refusal;
  } cases[] = {
      {"runtime: {systemd_cgroup: maybe}",
       "runtime.systemd_cgroup: expected true or false, found \"maybe\""},
      {"runtime: {systemd_cgroup: 'true'}",
       "runtime.systemd_cgroup: expected true or false, found \"true\""},
      {"runtime: {systemd_cgroup: 1}",
       "runtime.systemd_cgroup: expected true or false, found \"1\""},
      {"runtime: {systemd_cgroup: [true]}",
       "runtime.systemd_cgroup: expected true or false, found a list"},
      {"runtime: {binary: true}", "runtime.binary: expected a string, found \"true\""},
      {"runtime: {binary: 1.5}", "runtime.binary: expected a string, found \"1.5\""},
      {"runtime: {binary: ''}", "runtime.binary: must not be empty"},
      {"runtime: {binary: \"a\\0b\"}", "runtime.binary: must not contain NUL"},
      {"runtime: {binary: {}}", "runtime.binary: expected a string, found a map"},
      {"runtime: {root: }", "runtime.root: expected a string, found nothing"},
      {"runtime: {root: run/runc}", "runtime.root: expected an absolute path, found \"run/runc\""},
      {"binary_logger: {allow: }", "binary_logger.allow: expected a list, found nothing"},
      {"binary_logger: {allow: {a: b}}", "binary_logger.allow: expected a list, found a map"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(refusal_of(task_section(c.line)),
              std::string("c.yaml:3: plugins.io.containerd.ttrpc.v1.task.") + c.refusal);
  }
}

TEST(Config, RefusesWhatIsNotYaml) {
  for (const char* text : {"version: 1\nlog: {level: [\n", "version: 1\n\tlog: 1\n", "a: b: c\n",
                           ",", "version: 1\n}\n", "*x\n", "&a [*a", "\"\xff"}) {
    std::string refusal = refusal_of(text);
    EXPECT_EQ(refusal.find("c.yaml:"), 0u) << text << " -> " << refusal;
    EXPECT_EQ(refusal.find('\n'), std::string::npos) << refusal;
  }
  EXPECT_NE(refusal_of(std::string(100000, '[')), "accepted") << "deep nesting";
  EXPECT_NE(refusal_of(std::string(100000, '{')), "accepted");
}

// A file of the source tree.
std::string source_file(const std::string& name) {
  const char* root = std::getenv("THINSHIM_SOURCE");
  if (!root) throw Error::invalid_argument("THINSHIM_SOURCE is not set: run it by meson test");
  return read_file(std::string(root) + "/" + name).value();
}

std::string example() { return source_file("src/shim/config.yaml"); }

// The example without the `#` in front of its keys: "#allow: ...".
std::string whole_example() {
  return std::regex_replace(example(), std::regex("#([a-z_]+:)"), "$1");
}

struct Section {
  std::string path;  // with its parents; empty: the document
  std::size_t line;  // before which its first key is
  std::string indentation;
  Names keys;
};

// Every map of the example, in the order of their names.
std::vector<Section> sections_of(const std::string& text) {
  std::vector<Section> open{{"", 0, "", {}}}, closed;
  auto close_to = [&](std::size_t depth) {
    for (; open.size() > depth; open.pop_back()) closed.push_back(open.back());
  };
  std::istringstream lines(text);
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (!std::regex_match(line, match, std::regex("( *)([a-z][a-z0-9_.]*):( +[^# ].*)?( *#.*)?")))
      continue;
    close_to(match[1].length() / 2 + 1);
    open.back().keys.push_back(match[2]);
    if (match[3].matched) continue;  // it has a value
    std::string above = open.back().path.empty() ? "" : open.back().path + ".";
    open.push_back({above + match[2].str(), number, match[1].str() + "  ", {}});
  }
  close_to(0);
  return closed;
}

std::string with_line(const std::string& text, std::size_t after, const std::string& line) {
  std::size_t place = 0;
  for (std::size_t i = 0; i < after; ++i) place = text.find('\n', place) + 1;
  return text.substr(0, place) + line + "\n" + text.substr(place);
}

TEST(ExampleOfTheConfiguration, HasTheDefaults) {
  EXPECT_EQ(parse_config(example(), "config.yaml"), Config());
  Config config = parse_config(whole_example(), "config.yaml");
  EXPECT_TRUE(config.task.allowed_loggers);
  config.task.allowed_loggers.reset();
  EXPECT_EQ(config, Config());
}

// The error of the reader lists the known keys when it refuses an unknown one.
TEST(ExampleOfTheConfiguration, HasEveryKey) {
  const std::string text = whole_example();
  const std::vector<Section> sections = sections_of(text);
  EXPECT_EQ(sections.size(), 8u);
  for (const Section& section : sections) {
    std::string expected;
    for (const std::string& key : section.keys) expected += (expected.empty() ? "" : ", ") + key;
    std::string refusal = refusal_of(with_line(text, section.line, section.indentation + "zzz: 1"));
    EXPECT_EQ(refusal, "c.yaml:" + std::to_string(section.line + 1) + ": " +
                           (section.path.empty() ? "" : section.path + ".") +
                           "zzz: unknown key: expected " + expected);
  }
}

// "runtime.binary", as the references name it; empty for a section.
std::string name_of(const Section& section, const std::string& key,
                    const std::vector<Section>& sections) {
  const std::string path = section.path.empty() ? key : section.path + "." + key;
  for (const Section& other : sections)
    if (other.path == path) return "";
  return std::regex_replace(path, std::regex("plugins\\.io\\.containerd\\.[a-z]+\\.v1\\.[a-z]+\\."),
                            "");
}

TEST(ExampleOfTheConfiguration, HasNoKeyThatTheReferencesLack) {
  const std::string manual = source_file("src/containerd-shim-runc-v2.8");
  const std::string readme = source_file("README.md");
  const std::vector<Section> sections = sections_of(whole_example());
  for (const Section& section : sections) {
    for (const std::string& key : section.keys) {
      const std::string name = name_of(section, key, sections);
      if (name.empty()) continue;
      EXPECT_NE(manual.find(".It Cm " + name + "\n"), std::string::npos) << name;
      EXPECT_NE(readme.find("| `" + name + "` |"), std::string::npos) << name;
    }
  }
}

TEST(Config, TakesTheRequestsFileBeforeTheEnvironmentsBeforeTheDefault) {
  TempDir dir;
  for (const char* name : {"requested", "environment", "fallback"}) {
    write_file(dir / name, task_section(std::string("runtime: {binary: from-") + name + "}"), 0600);
  }
  auto binary = [&](const std::string& requested, const std::string& environment,
                    const std::string& fallback) {
    return load_config(requested, environment, fallback).task.runtime.binary;
  };
  EXPECT_EQ(binary(dir / "requested", dir / "environment", dir / "fallback"), "from-requested");
  EXPECT_EQ(binary("", dir / "environment", dir / "fallback"), "from-environment");
  EXPECT_EQ(binary("", "", dir / "fallback"), "from-fallback");
  EXPECT_EQ(binary("", "", dir / "absent"), "runc");
}

TEST(Config, ReportsAFileThatIsNamedAndMissing) {
  TempDir dir;
  auto refusal = [&](const std::string& requested, const std::string& environment) -> std::string {
    try {
      load_config(requested, environment, dir / "absent");
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  std::string missing = "config file \"" + dir / "x" + "\": not found";
  EXPECT_EQ(refusal(dir / "x", ""), missing);
  EXPECT_EQ(refusal("", dir / "x"), missing);
  EXPECT_EQ(refusal("c.yaml", ""),
            "config file \"c.yaml\": not an absolute path: invalid argument");
  EXPECT_EQ(refusal(dir.path(), ""), "read " + dir.path() + ": is a directory");
  write_file(dir / "big", std::string((1u << 20) + 1, '#'), 0600);
  EXPECT_EQ(refusal(dir / "big", ""),
            "read " + dir / "big" + ": larger than 1048576 bytes: invalid argument");
  write_file(dir / "bad", "version: 3", 0600);
  EXPECT_EQ(refusal(dir / "bad", ""), dir / "bad" + ":1: version: expected 1, found \"3\"");
}

TEST(Config, KnowsRuntimesByTheirNames) {
  RuntimeConfig runtime;
  for (const char* binary : {"runc", "/usr/sbin/runc", "crun", "/opt/youki", "runc-1.5.3",
                             "/opt/bin/crun-1.28", "youki-v0.7.0", "docker-runc"}) {
    runtime.binary = binary;
    EXPECT_TRUE(signals_directly(runtime)) << binary;
  }
  for (const char* binary : {"runsc", "/opt/runc/kata", "runc-wrapper", ""}) {
    runtime.binary = binary;
    EXPECT_FALSE(signals_directly(runtime)) << binary;
  }
  runtime.direct_signals = {"my-*", "runs?"};
  for (const char* binary : {"my-runc", "/opt/my-crun-1.28", "runsc", "runsc-20261123.0"}) {
    runtime.binary = binary;
    EXPECT_TRUE(signals_directly(runtime)) << binary;
  }
  for (const char* binary : {"runc", "/my-x/runc", "not-my-runc"}) {
    runtime.binary = binary;
    EXPECT_FALSE(signals_directly(runtime)) << binary;
  }
  runtime = {};
  runtime.direct_signals = {};
  EXPECT_FALSE(signals_directly(runtime));
}

TEST(Config, AllowsOnlyTheLoggersListed) {
  TaskConfig config;
  EXPECT_TRUE(allows_logger(config, "/anything")) << "no list, no limit";
  config.allowed_loggers = Names{};
  EXPECT_FALSE(allows_logger(config, "/anything"));
  config.allowed_loggers = Names{"/usr/local/bin/*", "/opt/*/log"};
  for (const char* path : {"/usr/local/bin/logger", "/opt/a/log"})
    EXPECT_TRUE(allows_logger(config, path)) << path;
  for (const char* path :
       {"/usr/bin/logger", "/usr/local/bin/a/b", "/usr/local/bin/../../bin/sh", "/usr/local/bin/..",
        "/opt/../log", "/opt/a/b/log", "/opt//log", "logger", ""})
    EXPECT_FALSE(allows_logger(config, path)) << path;
}

}  // namespace
}  // namespace thinshim
