// SPDX-License-Identifier: Apache-2.0
#include "shim/options.h"

#include <strings.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <variant>

#include "base/error.h"
#include "base/identifier.h"
#include "base/quote.h"
#include "runtime_options.pb.h"
#include "shim/toml.h"

namespace thinshim {
namespace {

constexpr std::string_view kRuncOptions = "containerd.runc.v1.Options";
constexpr std::string_view kRuntimeOptions = "runtimeoptions.v1.Options";

std::string_view without_host(std::string_view type_url) {
  return type_url.substr(type_url.rfind('/') + 1);
}

using SetText = void (*)(RuncOptions&, const std::string&);
using SetFlag = void (*)(RuncOptions&, bool);
using SetNumber = void (*)(RuncOptions&, std::uint32_t);
// A key of runtimeoptions.v1.Options itself, which containerd leaves in the table.
struct Ignore {};

struct Key {
  std::string_view name;
  std::variant<SetText, SetFlag, SetNumber, Ignore> set;
};

const Key kKeys[] = {
    {"NoPivotRoot", SetFlag([](RuncOptions& o, bool v) { o.set_no_pivot_root(v); })},
    {"NoNewKeyring", SetFlag([](RuncOptions& o, bool v) { o.set_no_new_keyring(v); })},
    {"ShimCgroup", SetText([](RuncOptions& o, const std::string& v) { o.set_shim_cgroup(v); })},
    {"IoUid", SetNumber([](RuncOptions& o, std::uint32_t v) { o.set_io_uid(v); })},
    {"IoGid", SetNumber([](RuncOptions& o, std::uint32_t v) { o.set_io_gid(v); })},
    {"BinaryName", SetText([](RuncOptions& o, const std::string& v) { o.set_binary_name(v); })},
    {"Root", SetText([](RuncOptions& o, const std::string& v) { o.set_root(v); })},
    {"CriuPath", SetText([](RuncOptions& o, const std::string& v) { o.set_criu_path(v); })},
    {"SystemdCgroup", SetFlag([](RuncOptions& o, bool v) { o.set_systemd_cgroup(v); })},
    {"CriuImagePath",
     SetText([](RuncOptions& o, const std::string& v) { o.set_criu_image_path(v); })},
    {"CriuWorkPath",
     SetText([](RuncOptions& o, const std::string& v) { o.set_criu_work_path(v); })},
    {"TaskApiAddress",
     SetText([](RuncOptions& o, const std::string& v) { o.set_task_api_address(v); })},
    {"TaskApiVersion",
     SetNumber([](RuncOptions& o, std::uint32_t v) { o.set_task_api_version(v); })},
    {"TypeUrl", Ignore()},
    {"ConfigPath", Ignore()},
};

bool equal_in_any_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

[[noreturn]] void refuse(const TomlEntry& entry, const std::string& problem) {
  throw Error(Code::invalid_argument,
              "options:" + std::to_string(entry.line) + ": " + quoted(entry.key) + ": " + problem);
}

// Sets one option from a TOML value; each overload expects its type of value.
struct Setter {
  const TomlEntry& entry;
  RuncOptions& options;

  void operator()(SetText set) const {
    auto* text = std::get_if<std::string>(&entry.value);
    if (!text) refuse(entry, "expected a string");
    if (!text->empty()) set(options, *text);
  }
  void operator()(SetFlag set) const {
    auto* flag = std::get_if<bool>(&entry.value);
    if (!flag) refuse(entry, "expected true or false");
    set(options, *flag);
  }
  void operator()(SetNumber set) const {
    auto* number = std::get_if<std::int64_t>(&entry.value);
    if (!number || *number < 0 || *number > std::numeric_limits<std::uint32_t>::max())
      refuse(entry, "expected a number from 0 to 4294967295");
    set(options, static_cast<std::uint32_t>(*number));
  }
  void operator()(Ignore) const {}
};

// Checks the strings: they become arguments and paths, which a NUL byte would truncate.
void check_texts(const RuncOptions& options) {
  for (const std::string* text :
       {&options.shim_cgroup(), &options.binary_name(), &options.root(), &options.criu_path(),
        &options.criu_image_path(), &options.criu_work_path()}) {
    check_no_nul(*text, "options");
  }
  if (!options.root().starts_with('/'))
    throw Error::invalid_argument("options: Root " + quoted(options.root()) +
                                  " is not an absolute path");
}

template <class Message>
Message parse(const wire::Any& request) {
  Message message;
  if (!message.ParseFromString(request.value()))
    throw Error::invalid_argument("options: malformed " + quoted(request.type_url()));
  return message;
}

RuncOptions options_of(const RuntimeConfig& runtime) {
  RuncOptions options;
  options.set_binary_name(runtime.binary);
  options.set_root(runtime.root);
  options.set_systemd_cgroup(runtime.systemd_cgroup);
  return options;
}

}  // namespace

bool is_runtime_options(std::string_view type_url) {
  std::string_view type = without_host(type_url);
  return type == kRuncOptions || type == kRuntimeOptions;
}

std::string config_path_of(const wire::Any& request) {
  runtimeoptions::v1::Options generic;
  if (without_host(request.type_url()) != kRuntimeOptions ||
      !generic.ParseFromString(request.value()))
    return "";
  return generic.config_path();
}

Settings resolve_options(const wire::Any& request, const Config& base) {
  Settings settings{base, {}};
  std::string_view type = without_host(request.type_url());
  if (type == kRuncOptions) {
    settings.options = options_of(base.task.runtime);
    settings.options.MergeFrom(parse<RuncOptions>(request));
  } else if (type == kRuntimeOptions) {
    auto generic = parse<runtimeoptions::v1::Options>(request);
    settings.options = options_of(settings.config.task.runtime);
    apply_toml_options(generic.config_body(), settings.options);
  } else if (request.type_url().empty() && request.value().empty()) {
    settings.options = options_of(base.task.runtime);
  } else {
    throw Error::invalid_argument("options of type " + quoted(request.type_url()) +
                                  ": expected containerd.runc.v1.Options or "
                                  "runtimeoptions.v1.Options");
  }
  check_texts(settings.options);
  RuntimeConfig& runtime = settings.config.task.runtime;
  runtime.binary = settings.options.binary_name();
  runtime.root = settings.options.root();
  runtime.systemd_cgroup = settings.options.systemd_cgroup();
  return settings;
}

void apply_toml_options(const std::string& text, RuncOptions& options) {
  for (const TomlEntry& entry : parse_toml(text, "options")) {
    const Key* known = std::ranges::find_if(
        kKeys, [&](const Key& key) { return equal_in_any_case(key.name, entry.key); });
    if (known == std::end(kKeys)) refuse(entry, "unknown option");
    std::visit(Setter{entry, options}, known->set);
  }
}

TaskService::Options task_options(const Settings& settings) {
  const TaskConfig& task = settings.config.task;
  TaskService::Options options{
      settings.options, {}, signals_directly(task.runtime), task.signal_delay};
  options.stdio.pipe_size = task.stdio.pipe_size;
  options.stdio.drain_timeout = task.stdio.drain_timeout;
  if (task.allowed_loggers)
    options.stdio.allows_logger = [task](const std::string& path) {
      return allows_logger(task, path);
    };
  return options;
}

}  // namespace thinshim
