// SPDX-License-Identifier: Apache-2.0
// The configuration: its defaults, and the YAML file that changes them. config.yaml beside this
// file has every key at its default, and is installed as an example.
//
// Sizes are numbers with B, KiB, MiB or GiB, or plain bytes. Durations are numbers with ms, s, m or
// h, or several of these ("1m30s"). Unknown keys, duplicate keys and wrong types are errors:
// "FILE:LINE: KEY: what is wrong". Options of a request override the file (shim/options.h).
//
// Without a file, the cost is one failed open(2). The YAML library adds 12 kB of private memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"

namespace thinshim {

struct RuntimeConfig {
  std::string binary = "runc";
  std::string root = "/run/containerd/runc";
  bool systemd_cgroup = false;
  std::vector<std::string> direct_signals{"runc", "crun", "youki"};  // see signals_directly()

  bool operator==(const RuntimeConfig&) const = default;
};

struct StdioConfig {
  std::uint64_t pipe_size = 1u << 20;  // bytes
  std::chrono::milliseconds drain_timeout{4000};

  bool operator==(const StdioConfig&) const = default;
};

struct TaskConfig {
  RuntimeConfig runtime;
  StdioConfig stdio;
  std::chrono::milliseconds signal_delay{30};  // see Process::wait_for_handlers()
  std::chrono::milliseconds idle_timeout{30000};
  std::optional<std::vector<std::string>> allowed_loggers;

  bool operator==(const TaskConfig&) const = default;
};

struct PublisherConfig {
  std::uint64_t max_queued = 65536;

  bool operator==(const PublisherConfig&) const = default;
};

struct Config {
  log::Level log_level = log::Level::info;
  std::vector<std::string> disabled_plugins;
  TaskConfig task;
  PublisherConfig publisher;

  bool operator==(const Config&) const = default;
};

inline constexpr const char* kDefaultConfigFile = "/etc/thinshim/config.yaml";

// Reads the first that is not empty of `requested` (the request's config_path), `environment`
// (THINSHIM_CONFIG) and `fallback`. The first two must be absolute paths of files that exist; the
// fallback may be absent. Throws Error.
Config load_config(const std::string& requested, const std::string& environment,
                   const std::string& fallback = kDefaultConfigFile);

// The text of a file; `path` must be absolute. Throws Error if it cannot be read.
std::string read_config(const std::string& path);
inline constexpr std::size_t kMaxConfigSize = 1u << 20;  // bytes

// The defaults, changed by `text`. `file` is its name in errors. Throws Error invalid_argument.
Config parse_config(const std::string& text, const std::string& file);

// Whether the shim may signal the container's first process itself instead of running the runtime's
// `kill`: the base name of `runtime.binary` matches direct_signals.
bool signals_directly(const RuntimeConfig& runtime);

// Whether the program may run as a logger: its absolute path matches a pattern of allowed_loggers.
// A binary:// URI lets a client run a program as root (GHSA-xhf5-7wjv-pqxp). '*' and '?' match
// neither '/' nor a leading '.', so ".." cannot leave the directories listed.
bool allows_logger(const TaskConfig& config, const std::string& path);

}  // namespace thinshim
