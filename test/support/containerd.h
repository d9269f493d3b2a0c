// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/subprocess.h"

namespace thinshim::test {

// A private instance of the containerd in PATH, with its configuration, state and sockets in one
// directory. Its PATH begins with the shim under test as `containerd-shim-runc-v2`, followed by the
// caller's PATH, which has the runtime.
class Containerd {
 public:
  // Writes into `directory`, which need not exist yet. Nothing runs before start(). The log level
  // "debug" also gives the flag -debug to shims, as does "trace" from 1.7 on.
  Containerd(std::filesystem::path directory, const std::filesystem::path& shim,
             const std::string& log_level = "info");

  void start();  // returns when it listens; throws after a timeout
  void stop();   // SIGTERM; containers and shims keep running
  void kill();   // SIGKILL; likewise. start() may follow both

  bool running() const { return process_.has_value(); }
  pid_t pid() const { return process_->pid(); }
  std::filesystem::path socket() const { return directory_ / "containerd.sock"; }
  // The directories of the bundles of a containerd namespace, one per task, and of containerd's own
  // files for them.
  std::filesystem::path bundles(const std::string& containerd_namespace) const;
  std::filesystem::path work(const std::string& containerd_namespace) const;

  // Reports of the sanitizers, if the shim was built with them.
  std::string sanitizer_reports() const;

  std::string log() const;  // of containerd and the shims, over all restarts

 private:
  void end_with(int signal);

  std::filesystem::path directory_;
  std::optional<Subprocess> process_;
};

}  // namespace thinshim::test
