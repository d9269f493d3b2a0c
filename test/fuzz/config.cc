// SPDX-License-Identifier: Apache-2.0
// The configuration file in YAML: shim/config.h. The input is the file, and after a zero byte the
// path of a logger.
#include "shim/config.h"

#include "fuzz/fuzz.h"

namespace thinshim::fuzz {
namespace {

using namespace std::chrono_literals;

void check_text(const std::string& text) {
  expect(!text.empty() && !has_nul(text), "a string of the configuration can be a path");
}

void check_config(const Config& config) {
  check_text(config.task.runtime.binary);
  check_text(config.task.runtime.root);
  for (const std::string& name : config.task.runtime.direct_signals) check_text(name);
  for (const std::string& name : config.disabled_plugins) check_text(name);
  const StdioConfig& stdio = config.task.stdio;
  expect(stdio.pipe_size >= 4096 && stdio.pipe_size <= 1u << 30, "pipe_size is in its range");
  expect(stdio.drain_timeout >= 0ms && stdio.drain_timeout <= 1h, "drain_timeout is in its range");
  expect(config.task.signal_delay >= 0ms && config.task.signal_delay <= 10s,
         "signal_delay is in its range");
  expect(config.task.idle_timeout >= 1s && config.task.idle_timeout <= 24h,
         "idle_timeout is in its range");
  expect(config.publisher.max_queued >= 1 && config.publisher.max_queued <= 1u << 24,
         "max_queued is in its range");
}

void check_logger(const TaskConfig& task, const std::string& path) {
  const bool allowed = allows_logger(task, path);
  if (!task.allowed_loggers) return expect(allowed, "without a list any logger is allowed");
  if (task.allowed_loggers->empty()) expect(!allowed, "the empty list allows no logger");
  const bool climbs = path.find("/../") != std::string::npos;
  bool globs_climb = false;
  for (const std::string& glob : *task.allowed_loggers)
    globs_climb = globs_climb || glob.find("..") != std::string::npos ||
                  glob.find_first_of("[\\") != std::string::npos;
  if (climbs && !globs_climb) expect(!allowed, "no glob matches a path that climbs");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim;
using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = text_of(data, size);
  const std::string text(take(rest, std::min(rest.find('\0'), rest.size())));
  take(rest, 1);
  const auto parse = [&] { return parse_config(text, "config.yaml"); };
  const std::optional<Config> config = attempt_in_words(parse);
  if (!config) return 0;
  check_config(*config);
  expect(parse() == *config, "the same text means the same");
  signals_directly(config->task.runtime);
  // A path as parse_stream_uri() allows it: limited in length, and without a zero byte.
  check_logger(config->task, "/" + std::string(rest.substr(0, rest.find('\0'))));
  return 0;
}
