// SPDX-License-Identifier: Apache-2.0
// What people set up, in YAML: defaults, and the file that changes them. Every key stands in
// config.yaml beside this file, at its default; it is installed as an example.
//
// Sizes are numbers with B, KiB, MiB or GiB, or plain bytes. Durations are numbers with ms, s, m or
// h, or several of these ("1m30s"). Unknown keys, keys given twice and wrong types are refused:
// "FILE:LINE: KEY: what is wrong". Options of a request go over what is written here
// (shim/options.h).
//
// YAML costs nothing while there is no file: one failed open, and the library isn't entered. Linked
// in, it adds 12 kB of private memory to a process that has protobuf anyway.
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

// Reads the first of: `requested` (the request's config_path), `environment` (THINSHIM_CONFIG),
// `fallback`. Empty ones are passed over; the first two must be absolute paths of files that exist,
// the last may be absent. Throws Error.
Config load_config(const std::string& requested, const std::string& environment,
                   const std::string& fallback = kDefaultConfigFile);

// The text of a file that is named by its absolute path. Throws Error where it cannot be read.
std::string read_config(const std::string& path);
inline constexpr std::size_t kMostConfiguration = 1u << 20;  // bytes

// `text` over the defaults; `file` is what errors call it. Throws Error invalid_argument.
Config parse_config(const std::string& text, const std::string& file);

// Whether `runtime.binary`, by its name without directories, is one whose `kill` only signals the
// container's first process: it need not be run for that.
bool signals_directly(const RuntimeConfig& runtime);

// Whether the file may be started as a logger (binary:// URIs, which let whoever names a log start
// a program as root: GHSA-xhf5-7wjv-pqxp): some glob matches its absolute path. '*' and '?' match
// neither '/' nor a leading '.', so no ".." leaves the directories listed.
bool allows_logger(const TaskConfig& config, const std::string& path);

}  // namespace thinshim
