// SPDX-License-Identifier: Apache-2.0
#include "shim/arguments.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "base/identifier.h"
#include "base/quote.h"

namespace thinshim {
namespace {

// Arguments, and the three switches from which its action follows.
struct Parsed : Arguments {
  bool help = false;
  bool version = false;
  bool info = false;
};

// A flag whose value is ignored.
struct Unused {};

struct Flag {
  std::string_view name;
  std::variant<Unused, std::string Arguments::*, bool Arguments::*, bool Parsed::*> target;
  std::string_view help;
};

constexpr Flag kFlags[] = {
    {"address", &Arguments::address, "containerd's gRPC socket"},
    {"bundle", &Arguments::bundle, "path of the bundle if it is not the working directory"},
    {"debug", &Arguments::debug, "log at level debug"},
    {"debug-socket", Unused(), "accepted and ignored, for compatibility"},
    {"id", &Arguments::id, "id of the task"},
    {"info", &Parsed::info, "read options from stdin, print the runtime's features, exit"},
    {"namespace", &Arguments::containerd_namespace, "containerd's namespace of the task"},
    {"publish-binary", Unused(), "accepted and ignored, for compatibility"},
    {"socket", &Arguments::socket, "path of the socket to serve"},
    {"v", &Parsed::version, "the same as -version"},
    {"version", &Parsed::version, "print the version, exit"},
};

bool takes_value(const Flag& flag) {
  return std::holds_alternative<std::string Arguments::*>(flag.target) ||
         std::holds_alternative<Unused>(flag.target);
}

Error refusal(const std::string& message) { return {Code::invalid_argument, message}; }

// As Go's strconv.ParseBool.
std::optional<bool> parse_bool(std::string_view word) {
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"})
    if (word == yes) return true;
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"})
    if (word == no) return false;
  return std::nullopt;
}

void set_switch(Parsed& parsed, const Flag& flag, bool value) {
  if (auto* member = std::get_if<bool Arguments::*>(&flag.target)) parsed.*(*member) = value;
  if (auto* member = std::get_if<bool Parsed::*>(&flag.target)) parsed.*(*member) = value;
}

// The command line and the position of the next word.
class Words {
 public:
  explicit Words(const std::vector<std::string>& words) : words_(words) {}
  bool at_end() const { return next_ == words_.size(); }
  const std::string& peek() const { return words_[next_]; }
  const std::string& take() { return words_[next_++]; }

 private:
  const std::vector<std::string>& words_;
  std::size_t next_ = 0;
};

// Parses one flag and its value. False if the next word is not a flag, or after -help, which ends
// the parsing.
bool parse_flag(Words& words, Parsed& parsed) {
  if (words.at_end()) return false;
  if (words.peek().size() < 2 || words.peek()[0] != '-') return false;
  const std::string& word = words.take();
  if (word == "--") return false;
  std::string_view name = std::string_view(word).substr(word[1] == '-' ? 2 : 1);
  if (name[0] == '-' || name[0] == '=') throw refusal("bad flag syntax: " + escaped(word));

  std::optional<std::string> value;
  if (std::size_t equals = name.find('='); equals != std::string_view::npos) {
    value = name.substr(equals + 1);
    name = name.substr(0, equals);
  }
  const Flag* flag = std::ranges::find(kFlags, name, &Flag::name);
  if (flag == std::end(kFlags)) {
    if (name != "h" && name != "help")
      throw refusal("flag provided but not defined: -" + escaped(name));
    parsed.help = true;
    return false;
  }
  if (takes_value(*flag)) {
    if (!value && words.at_end()) throw refusal("flag needs an argument: -" + std::string(name));
    if (!value) value = words.take();
    if (auto* member = std::get_if<std::string Arguments::*>(&flag->target))
      parsed.*(*member) = *value;
    return true;
  }
  std::optional<bool> on = value ? parse_bool(*value) : true;
  if (!on) {
    throw refusal("invalid boolean value " + quoted(*value) + " for -" + std::string(name) +
                  ": parse error");
  }
  set_switch(parsed, *flag, *on);
  return true;
}

Action parse_action(Words& words) {
  std::string action = words.at_end() ? std::string() : words.take();
  if (!words.at_end())
    throw refusal("unexpected argument " + quoted(words.peek()) + " after action " +
                  quoted(action));
  if (action.empty()) return Action::serve;
  if (action == "start") return Action::start;
  if (action == "delete") return Action::remove;
  throw refusal("unknown action " + quoted(action) + ": expected start, delete or none");
}

void read_environment(const Lookup& environment, Arguments& arguments) {
  auto get = [&](const char* name) {
    const char* value = environment(name);
    return std::string(value ? value : "");
  };
  arguments.ttrpc_address = get("TTRPC_ADDRESS");
  if (arguments.address.empty()) arguments.address = get("GRPC_ADDRESS");
  arguments.sched_core = !get("SCHED_CORE").empty();
  arguments.config_file = get("THINSHIM_CONFIG");
}

}  // namespace

void check_names(const std::string& containerd_namespace, const std::string& id) {
  if (containerd_namespace.empty()) throw refusal("shim namespace cannot be empty");
  check_identifier(containerd_namespace, "namespace");
  check_identifier(id, "id");
}

Arguments parse_arguments(const std::vector<std::string>& argv, const Lookup& environment) {
  Words words(argv);
  Parsed parsed;
  while (parse_flag(words, parsed)) {
  }
  if (parsed.help || parsed.version || parsed.info) {
    parsed.action = parsed.help ? Action::help : parsed.version ? Action::version : Action::info;
    if (parsed.info) read_environment(environment, parsed);
    return parsed;
  }
  parsed.action = parse_action(words);
  const bool has_neither = parsed.containerd_namespace.empty() && parsed.id.empty();
  if (parsed.action != Action::start || !has_neither)
    check_names(parsed.containerd_namespace, parsed.id);
  read_environment(environment, parsed);
  return parsed;
}

std::string usage(const std::string& program) {
  std::string text = "Usage: " + program + " [flags] [start | delete]\n";
  for (const Flag& flag : kFlags) {
    text += "  -" + std::string(flag.name) + (takes_value(flag) ? " string\n" : "\n");
    text += "    \t" + std::string(flag.help) + "\n";
  }
  return text;
}

}  // namespace thinshim
