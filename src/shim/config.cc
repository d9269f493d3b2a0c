// SPDX-License-Identifier: Apache-2.0
#include "shim/config.h"

#include <fnmatch.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <initializer_list>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/quote.h"
#include "oci/runtime_name.h"

namespace thinshim {
namespace {

// A node of the document, and its position.
struct Value {
  const std::string& file;
  std::string key;  // with its parents: "plugins.io.containerd.ttrpc.v1.task.stdio"
  YAML::Node node;
  YAML::Mark mark = node.Mark();  // of its key, if it has one: an empty value has no position
};

std::string position(const std::string& file, const YAML::Mark& mark) {
  return mark.is_null() ? file : file + ":" + std::to_string(mark.line + 1);
}

[[noreturn]] void refuse(const Value& value, const std::string& problem) {
  std::string where = position(value.file, value.mark);
  if (!value.key.empty()) where += ": " + escaped(value.key);
  throw Error(Code::invalid_argument, where + ": " + problem);
}

[[noreturn]] void refuse_type(const Value& value, const std::string& expected) {
  std::string found;
  switch (value.node.Type()) {
    case YAML::NodeType::Map:
      found = "a map";
      break;
    case YAML::NodeType::Sequence:
      found = "a list";
      break;
    case YAML::NodeType::Scalar:
      found = quoted(value.node.Scalar());
      break;
    default:
      found = "nothing";
  }
  refuse(value, "expected " + expected + ", found " + found);
}

// A scalar without quotes, which may be of another type than string.
bool is_plain(const Value& value) { return value.node.IsScalar() && value.node.Tag() == "?"; }

std::string read_text(const Value& value) {
  double number = 0;
  bool flag = false;
  bool other_type = is_plain(value) && (YAML::convert<double>::decode(value.node, number) ||
                                        YAML::convert<bool>::decode(value.node, flag));
  if (!value.node.IsScalar() || other_type) refuse_type(value, "a string");
  if (value.node.Scalar().empty()) refuse(value, "must not be empty");
  if (value.node.Scalar().find('\0') != std::string::npos) refuse(value, "must not contain NUL");
  return value.node.Scalar();
}

bool read_bool(const Value& value) {
  bool flag = false;
  if (!is_plain(value) || !YAML::convert<bool>::decode(value.node, flag))
    refuse_type(value, "true or false");
  return flag;
}

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr Unit kSizes[] = {
    {"", 1}, {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};
constexpr Unit kTimes[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
constexpr Unit kCounts[] = {{"", 1}};

// Removes a number with its unit from the front of `text`; nothing if there is none, or it is too
// large.
template <std::size_t N>
std::optional<std::uint64_t> take_amount(std::string_view& text, const Unit (&units)[N]) {
  std::uint64_t number = 0;
  auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  std::string_view name = text.substr(0, std::min(text.find_first_of("0123456789"), text.size()));
  const Unit* unit = std::ranges::find(units, name, &Unit::name);
  if (unit == std::end(units)) return std::nullopt;
  if (number > std::numeric_limits<std::uint64_t>::max() / unit->factor) return std::nullopt;
  text.remove_prefix(name.size());
  return number * unit->factor;
}

struct Limits {
  std::uint64_t least;
  std::uint64_t most;
  const char* text;  // "4KiB to 1GiB"
};

// A sum of amounts; `form` is the expected format, for the error.
template <std::size_t N>
std::uint64_t read_amount(const Value& value, const Unit (&units)[N], const char* form,
                          const Limits& limits) {
  if (!value.node.IsScalar()) refuse_type(value, form);
  std::string_view rest = value.node.Scalar();
  std::uint64_t sum = 0;
  do {
    std::optional<std::uint64_t> amount = take_amount(rest, units);
    if (!amount) refuse_type(value, form);
    if (*amount > limits.most || sum + *amount > limits.most)
      refuse(value, std::string("out of range: ") + limits.text);
    sum += *amount;
  } while (!rest.empty());
  if (sum < limits.least) refuse(value, std::string("out of range: ") + limits.text);
  return sum;
}

std::vector<std::string> read_list(const Value& value) {
  if (!value.node.IsSequence()) refuse_type(value, "a list");
  std::vector<std::string> list;
  for (const YAML::Node& item : value.node)
    list.push_back(read_text({value.file, value.key, item}));
  return list;
}

log::Level read_level(const Value& value) {
  std::string name = read_text(value);
  try {
    return log::parse_level(name);
  } catch (const Error&) {
    refuse_type(value, "error, warning, info or debug");
  }
}

struct Entry {
  std::string_view name;
  std::function<void(const Value&)> read;
};

std::string names_of(std::initializer_list<Entry> entries) {
  std::string names;
  for (const Entry& entry : entries) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  return names;
}

// Reads every entry of a map with the reader of its name. A section whose lines are all commented
// out is null in YAML, and permitted.
void read_map(const Value& map, std::initializer_list<Entry> entries) {
  if (map.node.IsNull()) return;
  if (!map.node.IsMap()) refuse_type(map, "a map");
  std::vector<std::string> seen;
  for (const auto& item : map.node) {
    const YAML::Node& name = item.first;
    if (!name.IsScalar()) refuse({map.file, map.key, name}, "expected a string as key");
    std::string key = (map.key.empty() ? "" : map.key + ".") + name.Scalar();
    const Entry* entry = std::ranges::find(entries, name.Scalar(), &Entry::name);
    if (entry == entries.end())
      refuse({map.file, key, name}, "unknown key: expected " + names_of(entries));
    if (std::ranges::find(seen, key) != seen.end()) refuse({map.file, key, name}, "duplicate key");
    seen.push_back(key);
    entry->read({map.file, key, item.second, name.Mark()});
  }
}

std::string read_absolute_path(const Value& value) {
  std::string path = read_text(value);
  if (path.front() != '/') refuse_type(value, "an absolute path");
  return path;
}

RuntimeConfig read_runtime(const Value& value) {
  RuntimeConfig runtime;
  read_map(value,
           {{"binary", [&](const Value& v) { runtime.binary = read_text(v); }},
            {"root", [&](const Value& v) { runtime.root = read_absolute_path(v); }},
            {"systemd_cgroup", [&](const Value& v) { runtime.systemd_cgroup = read_bool(v); }},
            {"direct_signals", [&](const Value& v) { runtime.direct_signals = read_list(v); }}});
  return runtime;
}

StdioConfig read_stdio(const Value& value) {
  constexpr Limits kPipeSize{4096, 1u << 30, "4KiB to 1GiB"};
  constexpr Limits kDrainTimeout{0, 3'600'000, "0s to 1h"};
  StdioConfig stdio;
  auto pipe_size = [&](const Value& v) {
    stdio.pipe_size = read_amount(v, kSizes, "a size such as 64KiB or 1MiB", kPipeSize);
  };
  auto drain_timeout = [&](const Value& v) {
    stdio.drain_timeout = std::chrono::milliseconds(
        read_amount(v, kTimes, "a duration such as 500ms or 4s", kDrainTimeout));
  };
  read_map(value, {{"pipe_size", pipe_size}, {"drain_timeout", drain_timeout}});
  return stdio;
}

TaskConfig read_task(const Value& value) {
  constexpr Limits kIdleTimeout{1000, 24 * 3'600'000, "1s to 24h"};
  constexpr Limits kSignalDelay{0, 10'000, "0s to 10s"};
  TaskConfig task;
  auto signal_delay = [&](const Value& v) {
    task.signal_delay = std::chrono::milliseconds(
        read_amount(v, kTimes, "a duration such as 500ms or 4s", kSignalDelay));
  };
  auto idle_timeout = [&](const Value& v) {
    task.idle_timeout = std::chrono::milliseconds(
        read_amount(v, kTimes, "a duration such as 500ms or 4s", kIdleTimeout));
  };
  auto allow = [&](const Value& v) { task.allowed_loggers = read_list(v); };
  read_map(value, {{"runtime", [&](const Value& v) { task.runtime = read_runtime(v); }},
                   {"stdio", [&](const Value& v) { task.stdio = read_stdio(v); }},
                   {"signal_delay", signal_delay},
                   {"idle_timeout", idle_timeout},
                   {"binary_logger", [&](const Value& v) { read_map(v, {{"allow", allow}}); }}});
  return task;
}

PublisherConfig read_publisher(const Value& value) {
  constexpr Limits kMaxQueued{1, 1u << 24, "1 to 16777216"};
  PublisherConfig publisher;
  auto max_queued = [&](const Value& v) {
    publisher.max_queued = read_amount(v, kCounts, "a number", kMaxQueued);
  };
  read_map(value, {{"max_queued", max_queued}});
  return publisher;
}

void check_version(const Value& value) {
  if (!is_plain(value) || value.node.Scalar() != "1") refuse_type(value, "1");
}

Config read_document(const Value& document) {
  Config config;
  bool has_version = false;
  auto version = [&](const Value& v) {
    check_version(v);
    has_version = true;
  };
  auto level = [&](const Value& v) { config.log_level = read_level(v); };
  auto plugins = [&](const Value& v) {
    read_map(v,
             {{"io.containerd.ttrpc.v1.task", [&](const Value& p) { config.task = read_task(p); }},
              {"io.containerd.event.v1.publisher",
               [&](const Value& p) { config.publisher = read_publisher(p); }}});
  };
  read_map(document,
           {{"version", version},
            {"log", [&](const Value& v) { read_map(v, {{"level", level}}); }},
            {"disabled_plugins", [&](const Value& v) { config.disabled_plugins = read_list(v); }},
            {"plugins", plugins}});
  if (!has_version && !document.node.IsNull()) refuse(document, "version: missing, expected 1");
  return config;
}

// Records where a document begins.
struct DocumentStart final : YAML::EventHandler {
  YAML::Mark mark = YAML::Mark::null_mark();

  void OnDocumentStart(const YAML::Mark& start) override { mark = start; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// YAML::Load ignores what follows the first document, and YAML::LoadAll of yaml-cpp 0.7 never
// returns for a text like ",".
YAML::Node load_only_document(const std::string& text, const std::string& file) {
  std::istringstream input(text);
  YAML::Parser parser(input);
  DocumentStart start;
  parser.HandleNextDocument(start);
  if (parser.HandleNextDocument(start))
    refuse({file, "", {}, start.mark}, "expected the end of the document");
  return YAML::Load(text);
}

}  // namespace

std::string read_config(const std::string& path) {
  if (path[0] != '/')
    throw Error::invalid_argument("config file " + quoted(path) + ": not an absolute path");
  std::optional<std::string> text = read_file(path, kMaxConfigSize, Links::follow);
  if (!text) throw Error::not_found("config file " + quoted(path));
  return *text;
}

Config load_config(const std::string& requested, const std::string& environment,
                   const std::string& fallback) {
  if (!requested.empty()) return parse_config(read_config(requested), requested);
  if (!environment.empty()) return parse_config(read_config(environment), environment);
  std::optional<std::string> text = read_file(fallback, kMaxConfigSize, Links::follow);
  return text ? parse_config(*text, fallback) : Config();
}

Config parse_config(const std::string& text, const std::string& file) {
  try {
    return read_document({file, "", load_only_document(text, file)});
  } catch (const YAML::Exception& error) {
    throw Error(Code::invalid_argument, position(file, error.mark) + ": " + escaped(error.msg));
  }
}

bool signals_directly(const RuntimeConfig& runtime) {
  return std::ranges::any_of(runtime.direct_signals, [&](const std::string& pattern) {
    return is_runtime(runtime.binary, pattern);
  });
}

bool allows_logger(const TaskConfig& config, const std::string& path) {
  if (!config.allowed_loggers) return true;
  if (path.find("//") != std::string::npos) return false;  // '*' would match an empty name
  return std::ranges::any_of(*config.allowed_loggers, [&](const std::string& glob) {
    return fnmatch(glob.c_str(), path.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0;
  });
}

}  // namespace thinshim
