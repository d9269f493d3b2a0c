// SPDX-License-Identifier: Apache-2.0
#include "shim/arguments.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <regex>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

Arguments parse(const Words& words, const Environment& environment = {}) {
  return parse_arguments(words, [&](const char* name) -> const char* {
    auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

// Prepends the two flags that every action needs.
Arguments parse_with(Words words, const Environment& environment = {}) {
  words.insert(words.begin(), {"-namespace", "ns", "-id", "c1"});
  return parse(words, environment);
}

std::string refusal_of(const Words& words, const Environment& environment = {}) {
  try {
    parse(words, environment);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "accepted";
}

TEST(Arguments, ReadsWhatContainerd16CallsStartWith) {
  Arguments arguments =
      parse({"-namespace", "default", "-address", "/run/containerd/containerd.sock",
             "-publish-binary", "/usr/bin/containerd", "-id", "redis", "start"},
            {{"TTRPC_ADDRESS", "/run/containerd/containerd.sock.ttrpc"}});
  EXPECT_EQ(arguments.action, Action::start);
  EXPECT_EQ(arguments.containerd_namespace, "default");
  EXPECT_EQ(arguments.address, "/run/containerd/containerd.sock");
  EXPECT_EQ(arguments.id, "redis");
  EXPECT_EQ(arguments.bundle, "");
  EXPECT_FALSE(arguments.debug);
  EXPECT_EQ(arguments.ttrpc_address, "/run/containerd/containerd.sock.ttrpc");
  EXPECT_FALSE(arguments.sched_core);
}

TEST(Arguments, ReadsWhatContainerd2CallsDeleteWith) {
  Arguments arguments = parse({"-namespace", "k8s.io", "-address", "/a.sock", "-publish-binary",
                               "/c", "-id", "x", "-bundle", "/run/bundle", "-debug", "delete"},
                              {{"TTRPC_ADDRESS", "/a.sock.ttrpc"},
                               {"GRPC_ADDRESS", "/a.sock"},
                               {"NAMESPACE", "k8s.io"},
                               {"MAX_SHIM_VERSION", "2"},
                               {"SCHED_CORE", "1"},
                               {"THINSHIM_CONFIG", "/etc/c.yaml"}});
  EXPECT_EQ(arguments.action, Action::remove);
  EXPECT_EQ(arguments.bundle, "/run/bundle");
  EXPECT_TRUE(arguments.debug);
  EXPECT_TRUE(arguments.sched_core);
  EXPECT_EQ(arguments.config_file, "/etc/c.yaml");
}

TEST(Arguments, ServesWithoutAnAction) {
  EXPECT_EQ(parse_with({}).action, Action::serve);
  EXPECT_EQ(parse_with({""}).action, Action::serve);
  EXPECT_EQ(parse_with({"--"}).action, Action::serve);
}

TEST(Arguments, ReadsEveryWayToWriteAFlag) {
  for (const Words& words :
       {Words{"-address", "/a"}, Words{"-address=/a"}, Words{"--address", "/a"},
        Words{"--address=/a"}, Words{"-address", "/b", "-address", "/a"}})
    EXPECT_EQ(parse_with(words).address, "/a") << words[0];
  EXPECT_EQ(parse_with({"-address="}).address, "");
  EXPECT_EQ(parse_with({"-address=a=b"}).address, "a=b");
  EXPECT_EQ(parse_with({"-address", "-debug"}).address, "-debug") << "the next word is the value";
  EXPECT_EQ(parse_with({"-address", "--"}).address, "--");
  EXPECT_EQ(parse_with({"-address", ""}).address, "");
  EXPECT_EQ(parse_with({"-socket", "s"}).socket, "s");
}

TEST(Arguments, ReadsGosBooleans) {
  for (const char* yes : {"-debug", "--debug", "-debug=1", "-debug=t", "-debug=T", "-debug=true",
                          "-debug=TRUE", "--debug=True"})
    EXPECT_TRUE(parse_with({yes}).debug) << yes;
  for (const char* no :
       {"-debug=0", "-debug=f", "-debug=F", "-debug=false", "-debug=FALSE", "-debug=False"})
    EXPECT_FALSE(parse_with({"-debug", no}).debug) << no;
  for (const char* word : {"", "yes", "tRUE", "2", " 1"}) {
    EXPECT_EQ(refusal_of({std::string("-debug=") + word}),
              std::string("invalid boolean value \"") + word + "\" for -debug: parse error");
  }
  EXPECT_EQ(parse_with({"-debug", "start"}).action, Action::start)
      << "a boolean takes no next word";
}

TEST(Arguments, StopsAtTheFirstWordThatIsNotAFlag) {
  EXPECT_EQ(parse_with({"--", "start"}).action, Action::start);
  EXPECT_EQ(refusal_of({"-namespace", "n", "-id", "i", "start", "-debug"}),
            "unexpected argument \"-debug\" after action \"start\"");
  EXPECT_EQ(refusal_of({"-namespace", "n", "-id", "i", "-", "start"}),
            "unexpected argument \"start\" after action \"-\"");
  EXPECT_EQ(refusal_of({"-namespace", "n", "-id", "i", "--", "-debug"}),
            "unknown action \"-debug\": expected start, delete or none");
}

TEST(Arguments, RefusesWithGosTexts) {
  const struct {
    Words words;
    const char* text;
  } cases[] = {
      {{"-x"}, "flag provided but not defined: -x"},
      {{"--x=1"}, "flag provided but not defined: -x"},
      {{"-v", "-x"}, "flag provided but not defined: -x"},
      {{"-Namespace", "a"}, "flag provided but not defined: -Namespace"},
      {{"-x\ny"}, "flag provided but not defined: -x\\ny"},
      {{"---id"}, "bad flag syntax: ---id"},
      {{"-=a"}, "bad flag syntax: -=a"},
      {{"--=a"}, "bad flag syntax: --=a"},
      {{"-id"}, "flag needs an argument: -id"},
      {{"-namespace", "n", "--bundle"}, "flag needs an argument: -bundle"},
  };
  for (const auto& c : cases) EXPECT_EQ(refusal_of(c.words), c.text);
}

TEST(Arguments, RefusesAnActionItDoesNotKnow) {
  for (const char* word : {"stop", "Start", "-", "delete ", "serve"}) {
    EXPECT_EQ(refusal_of({"-namespace", "n", "-id", "i", word}),
              "unknown action \"" + std::string(word) + "\": expected start, delete or none");
  }
}

// stdin has both then (shim/start.h).
TEST(Arguments, OfAStartNeedNeitherNamespaceNorId) {
  const Arguments arguments = parse({"start"}, {});
  EXPECT_EQ(arguments.action, Action::start);
  EXPECT_EQ(arguments.containerd_namespace, "");
  EXPECT_EQ(arguments.id, "");
  EXPECT_EQ(refusal_of({"delete"}), "shim namespace cannot be empty");
}

TEST(Arguments, RefusesWhatCannotNameADirectory) {
  EXPECT_EQ(refusal_of({}), "shim namespace cannot be empty");
  EXPECT_EQ(refusal_of({"-id", "x", "start"}), "shim namespace cannot be empty");
  EXPECT_EQ(refusal_of({"-namespace=", "-id", "x"}), "shim namespace cannot be empty");
  EXPECT_EQ(refusal_of({"-namespace", "n", "start"}), "id must not be empty: invalid argument");
  EXPECT_EQ(refusal_of({"-namespace", "n", "delete"}), "id must not be empty: invalid argument");
  for (const char* name : {"../x", "a/b", "..", "a..b"}) {
    EXPECT_NE(refusal_of({"-namespace", "n", "-id", name}).find("id \""), std::string::npos)
        << name;
    EXPECT_EQ(refusal_of({"-namespace", name, "-id", "x"}).find("namespace \""), 0u) << name;
  }
}

TEST(Arguments, HelpVersionAndInfoNeedNoOtherFlag) {
  for (const char* word : {"-h", "--h", "-help", "--help", "-help=x"})
    EXPECT_EQ(parse({word, "-undefined"}).action, Action::help) << word;
  for (const char* word : {"-v", "--v", "-version", "--version", "-v=true"})
    EXPECT_EQ(parse({word}).action, Action::version) << word;
  EXPECT_EQ(parse({"-info"}).action, Action::info);
  EXPECT_EQ(parse({"-info", "-v"}).action, Action::version);
  EXPECT_EQ(parse({"-v", "start"}).action, Action::version);
  EXPECT_EQ(refusal_of({"-v=false"}), "shim namespace cannot be empty");
  EXPECT_EQ(refusal_of({"-undefined", "-h"}), "flag provided but not defined: -undefined");
}

TEST(Arguments, PrefersFlagsToTheEnvironment) {
  const Environment environment{{"GRPC_ADDRESS", "/e.sock"},
                                {"NAMESPACE", "other"},
                                {"MAX_SHIM_VERSION", "nonsense"},
                                {"SCHED_CORE", ""}};
  EXPECT_EQ(parse_with({"-address", "/a.sock"}, environment).address, "/a.sock");
  EXPECT_EQ(parse_with({}, environment).address, "/e.sock") << "without a flag";
  EXPECT_EQ(parse_with({}, environment).containerd_namespace, "ns");
  EXPECT_FALSE(parse_with({}, environment).sched_core);
}

TEST(Arguments, TakesFlagsThatAreNotUsed) {
  for (const char* flag : {"-debug-socket", "-publish-binary"}) {
    EXPECT_EQ(parse_with({flag, "start", "delete"}).action, Action::remove) << flag;
    EXPECT_EQ(refusal_of({flag}), "flag needs an argument: " + std::string(flag));
  }
}

TEST(Arguments, UsageNamesEveryFlag) {
  std::string text = usage("shim");
  EXPECT_EQ(text.find("Usage: shim "), 0u);
  for (const char* flag : {"namespace", "id", "address", "publish-binary", "bundle", "socket",
                           "debug-socket", "debug", "v", "version", "info"})
    EXPECT_NE(text.find("\n  -" + std::string(flag)), std::string::npos) << flag;
}

TEST(Arguments, ManualNamesEveryFlag) {
  const char* root = std::getenv("THINSHIM_SOURCE");
  ASSERT_TRUE(root) << "run it by meson test";
  const std::string manual =
      read_file(std::string(root) + "/src/containerd-shim-runc-v2.8").value();
  std::istringstream lines(usage("shim"));
  int flags = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  -")) continue;
    ++flags;
    const std::string flag = line.substr(3, line.find(' ', 3) - 3);
    const std::regex item("\n\\.It Fl ([a-z-]+ .* )?" + flag + "[ \n]");
    EXPECT_TRUE(std::regex_search(manual, item)) << flag;
  }
  EXPECT_EQ(flags, 11);
}

}  // namespace
}  // namespace thinshim
