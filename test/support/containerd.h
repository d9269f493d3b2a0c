// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/subprocess.h"

namespace thinshim::test {

// A private instance of the containerd that is first on PATH: configuration, state and sockets in a
// directory of its own, and the shim under test first on its PATH as `containerd-shim-runc-v2`; the
// rest of it, and so the runtime, is the caller's.
class Containerd {
 public:
  // Writes into `directory`, which need not exist yet. Nothing runs before start(). The log level
  // "debug" also gives the flag -debug to shims, as does "trace" from 1.7 on.
  Containerd(std::filesystem::path directory, const std::filesystem::path& shim,
             const std::string& log_level = "info");

  void start();  // returns when it listens; throws when it doesn't in time
  void stop();   // SIGTERM; containers and shims live on
  void kill();   // SIGKILL; likewise. start() may follow both

  bool running() const { return process_.has_value(); }
  pid_t pid() const { return process_->pid(); }
  std::filesystem::path socket() const { return directory_ / "containerd.sock"; }
  // Where the bundles of a containerd namespace are, a directory for each task, and what containerd
  // keeps beside them.
  std::filesystem::path bundles(const std::string& containerd_namespace) const;
  std::filesystem::path work(const std::string& containerd_namespace) const;

  // What AddressSanitizer and the like had to say of the shim, if it was built with them.
  std::string sanitizer_reports() const;

  std::string log() const;  // what it and the shims have logged, over all its lives

 private:
  void end_with(int signal);

  std::filesystem::path directory_;
  std::optional<Subprocess> process_;
};

}  // namespace thinshim::test
