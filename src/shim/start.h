// SPDX-License-Identifier: Apache-2.0
// The action `start`: starts a shim for the container's group, unless one is running, and prints
// its address.
//
// containerd has two start protocols; stdin alone tells which one the caller uses (containerd,
// pkg/shim: util.go writes it, compat.go of 2.3 and later reads the answer):
//
// - Up to 2.2: stdin is empty, or the runtime options as a google.protobuf.Any. The answer is the
//   bare address, which means version 2 of the task API.
// - From 2.3 on: stdin is BootstrapParams, with the runtime options among its extensions. The
//   answer is a BootstrapResult with version 3. An Any may parse as BootstrapParams, but does not
//   have this container's id and namespace. If the flags for these are missing, as containerd plans
//   (bootstrap.proto: the message replaces flags and environment), those of the message count.
//
// If the group's shim is running, the answer has the version that the first `start` returned,
// whatever protocol this caller uses: all clients of a shim must use one version (shim/version.h).
//
// `start` checks what the server needs (runtime options, configuration file, plugin graph), because
// the server has no caller to report an error to.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "process/command_line.h"
#include "shim/arguments.h"
#include "wire.pb.h"

namespace thinshim {

// The request on stdin, of either protocol.
struct StartRequest {
  bool bootstrap = false;  // the caller uses the protocol of 2.3
  std::string containerd_namespace;
  std::string id;
  std::string grpc_address;
  std::string ttrpc_address;
  std::string socket_directory;  // empty: the default
  bool debug = false;
  wire::Any options;  // runtime options of a known type; empty if there are none
};
// Throws Error if `input` is of neither protocol, or its options are of an unknown type.
StartRequest parse_start_request(const std::string& input, const Arguments& arguments);

// Works in the bundle, its working directory, and passes the answer to `print`. If it throws Error,
// or `print` does, no shim was started.
//
// The server is a fork of this process, because an execve(2) would double the time that a start
// takes. In the server, start() returns the arguments to serve with; descriptor 3 is the listener,
// 0 to 2 are /dev/null, and no other is open. `line` becomes the command line of the stock shim's
// server, with the version (shim/version.h).
std::optional<Arguments> start(const Arguments& arguments, const std::string& input,
                               const std::function<void(const std::string&)>& print,
                               CommandLine& line);

}  // namespace thinshim
