// SPDX-License-Identifier: Apache-2.0
// What the shim was called with: flags in the syntax of Go's package flag, one action word, and a
// few words of the environment.
//
//   containerd-shim-runc-v2 -namespace NS -id ID -address SOCKET [-debug] ... [start | delete]
//
// Go's syntax (https://pkg.go.dev/flag), which containerd and people's scripts are used to: one
// dash or two; "-x value" or "-x=value"; a boolean takes a value only as "-x=value"; the last of
// two equal flags counts; "-" or a word without a dash ends the flags, and so does "--", which is
// dropped. The texts of the refusals are Go's.
//
// Differences from the stock shim, which ignores them: an action other than start and delete (it
// serves then) and words after the action are refused, because "delete -bundle X" would otherwise
// clean up the working directory; ids and namespaces that could leave their directory are refused.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace thinshim {

// In the order in which they win: help and version need no other flag, info no namespace.
enum class Action { help, version, info, serve, start, remove };

struct Arguments {
  Action action = Action::serve;

  std::string containerd_namespace;  // -namespace
  std::string id;                    // -id: of the container, or of the sandbox when serving
  std::string address;               // -address: containerd's gRPC socket
  std::string publish_binary;        // -publish-binary: unused since events go over ttrpc
  std::string bundle;                // -bundle: empty where the bundle is the working directory
  std::string socket;                // -socket: where to listen; empty: the listener is fd 3
  std::string debug_socket;          // -debug-socket
  bool debug = false;                // -debug

  // The environment that containerd sets; empty, 0 or false where it doesn't.
  std::string ttrpc_address;          // TTRPC_ADDRESS: where events go
  std::string grpc_address;           // GRPC_ADDRESS: the same as -address, from 1.7 on
  std::string environment_namespace;  // NAMESPACE: the same as -namespace, from 1.7 on
  int max_shim_version = 0;           // MAX_SHIM_VERSION: 2 from every containerd so far
  bool sched_core = false;            // SCHED_CORE: set to anything, a core scheduling domain
  std::string config_file;            // THINSHIM_CONFIG, which is our own: see shim/config.h
};

// getenv, or what a test puts in its place.
using Lookup = std::function<const char*(const char* name)>;

// `words` is argv without the program's name. Throws Error invalid_argument; every text is one
// line.
Arguments parse_arguments(const std::vector<std::string>& words, const Lookup& environment);

// What -help prints, several lines.
std::string usage(const std::string& program);

}  // namespace thinshim
