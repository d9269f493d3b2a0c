// SPDX-License-Identifier: Apache-2.0
// What people set up, in YAML: defaults, and the file that changes them.
//
//   version: 1                                  must be there, and 1
//   log: {level: info}                          error, warning, info, debug
//   disabled_plugins: []                        URIs of plugins (shim/plugin.h)
//   plugins:                                    a section for each, by URI
//     io.containerd.ttrpc.v1.task:
//       runtime:
//         binary: runc                          a name on PATH, or a path
//         root: /run/containerd/runc            the runtime's state; a directory per namespace
//         systemd_cgroup: false
//       stdio:
//         pipe_size: 1MiB                       what pipes of output grow to, if permitted
//         drain_timeout: 4s                     for output that outlives its process, at Delete
//       idle_timeout: 30s                       without a container, then the shim ends
//       binary_logger:
//         allow: ["/usr/local/bin/*"]           see allows_logger; without this line any may run
//     io.containerd.event.v1.publisher:
//       max_queued: 65536                       events, while containerd is away
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
};

struct StdioConfig {
  std::uint64_t pipe_size = 1u << 20;  // bytes
  std::chrono::milliseconds drain_timeout{4000};
};

struct TaskConfig {
  RuntimeConfig runtime;
  StdioConfig stdio;
  std::chrono::milliseconds idle_timeout{30000};
  std::optional<std::vector<std::string>> allowed_loggers;
};

struct PublisherConfig {
  std::uint64_t max_queued = 65536;
};

struct Config {
  log::Level log_level = log::Level::info;
  std::vector<std::string> disabled_plugins;
  TaskConfig task;
  PublisherConfig publisher;
};

inline constexpr const char* kDefaultConfigFile = "/etc/thinshim/config.yaml";

// Reads the first of: `requested` (the request's config_path), `environment` (THINSHIM_CONFIG),
// `fallback`. Empty ones are passed over; the first two must be absolute paths of files that exist,
// the last may be absent. Throws Error.
Config load_config(const std::string& requested, const std::string& environment,
                   const std::string& fallback = kDefaultConfigFile);

// `text` over the defaults; `file` is what errors call it. Throws Error invalid_argument.
Config parse_config(const std::string& text, const std::string& file);

// Whether the file may be started as a logger (binary:// URIs, which let whoever names a log start
// a program as root: GHSA-xhf5-7wjv-pqxp): some glob matches its absolute path. '*' and '?' match
// neither '/' nor a leading '.', so no ".." leaves the directories listed.
bool allows_logger(const TaskConfig& config, const std::string& path);

}  // namespace thinshim
