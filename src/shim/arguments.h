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
  std::string address;               // -address: containerd's gRPC socket; else GRPC_ADDRESS
  std::string bundle;                // -bundle: empty where the bundle is the working directory
  std::string socket;                // -socket: where to listen; empty: the listener is fd 3
  bool debug = false;                // -debug

  // The environment that containerd sets; empty or false where it doesn't. Of its other variables,
  // NAMESPACE says the same as -namespace, and MAX_SHIM_VERSION is 2 from every containerd, also
  // from those that speak version 3: no stock shim reads them (1.6 to main).
  std::string ttrpc_address;  // TTRPC_ADDRESS: where events go
  bool sched_core = false;    // SCHED_CORE: set to anything, a core scheduling domain
  std::string config_file;    // THINSHIM_CONFIG, which is our own: see shim/config.h
};

// getenv, or what a test puts in its place.
using Lookup = std::function<const char*(const char* name)>;

// `words` is argv without the program's name. Throws Error invalid_argument; every text is one
// line. A `start` may say neither namespace nor id: stdin does then (shim/start.h).
Arguments parse_arguments(const std::vector<std::string>& words, const Lookup& environment);

// Throws Error invalid_argument where they cannot be a namespace and an id.
void check_names(const std::string& containerd_namespace, const std::string& id);

// What -help prints, several lines.
std::string usage(const std::string& program);

}  // namespace thinshim
