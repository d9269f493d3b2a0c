// SPDX-License-Identifier: Apache-2.0
// The action `start`: makes sure that a shim serves the container's group, and tells containerd
// where.
//
// Two protocols are spoken, told apart by what stands on stdin, because 1.7 to 2.2 cannot be told
// apart by anything else (containerd, pkg/shim: util.go writes it, compat.go of 2.3 and later reads
// it):
//
// - Up to 2.2: nothing, or the runtime options as a google.protobuf.Any. The answer is the bare
//   address, which every one of them takes as task API version 2.
// - From 2.3 on: BootstrapParams, with the runtime options among its extensions. The answer is a
//   BootstrapResult, version 3. An Any may parse as BootstrapParams, but it does not carry this
//   container's id and namespace. Without these flags, which containerd means to leave out some day
//   (bootstrap.proto: the message replaces flags and environment), the message says them.
//
// A group whose shim lives is answered with the version that was given out for it first, whatever
// its caller speaks now: the clients that have it must agree (shim/version.h).
//
// The server has nobody to complain to, so what it cannot work with is refused here: runtime
// options (shim/options.h), the configuration file, a graph of plugins that serves nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "process/command_line.h"
#include "shim/arguments.h"
#include "wire.pb.h"

namespace thinshim {

// What stood on stdin, in one shape.
struct StartRequest {
  bool bootstrap = false;  // the caller speaks the protocol of 2.3
  std::string containerd_namespace;
  std::string id;
  std::string grpc_address;
  std::string ttrpc_address;
  std::string socket_directory;  // empty: the default
  bool debug = false;
  wire::Any options;  // the runtime's, of a type known here; empty where the caller has none
};
// Throws Error where `input` is neither protocol, or its options are of another type.
StartRequest parse_start_request(const std::string& input, const Arguments& arguments);

// Does it all in the bundle, the working directory, and hands what goes to stdout to `print`. Where
// it throws Error, also where `print` does, no shim was started.
//
// A server that is needed is a fork of this process: to become the program anew would take as long
// as all the rest. In it start() returns what it is to serve, on descriptor 3, with no other open
// but the standard ones, which lead nowhere; and `line` is what the stock shim's server shows, and
// the version (shim/version.h).
std::optional<Arguments> start(const Arguments& arguments, const std::string& input,
                               const std::function<void(const std::string&)>& print,
                               CommandLine& line);

}  // namespace thinshim
