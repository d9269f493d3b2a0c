// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/subprocess.h"

namespace thinshim::test {

using Words = std::vector<std::string>;

// containerd's command line client, for one instance and one containerd namespace.
class Ctr {
 public:
  Ctr(std::filesystem::path socket, std::string containerd_namespace)
      : socket_(std::move(socket)), namespace_(std::move(containerd_namespace)) {}

  // The whole command line, to be run by a Subprocess or at a Terminal.
  Words command(const Words& arguments) const;

  // Runs it and waits for its exit.
  Outcome operator()(const Words& arguments, const std::string& input = "") const;

  // Starts it; the caller waits for it.
  Subprocess begin(const Words& arguments, SubprocessOptions options = {}) const;

 private:
  std::filesystem::path socket_;
  std::string namespace_;
};

// Concatenation.
Words operator+(Words left, const Words& right);

}  // namespace thinshim::test
