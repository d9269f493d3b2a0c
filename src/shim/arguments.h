// SPDX-License-Identifier: Apache-2.0
// The shim's command line (flags in the syntax of Go's package flag, and an action) and environment
// variables.
//
//   containerd-shim-runc-v2 -namespace NS -id ID -address SOCKET [-debug] ... [start | delete]
//
// Go's syntax (https://pkg.go.dev/flag): one dash or two; "-x value" or "-x=value"; a boolean takes
// a value only as "-x=value"; the last of two equal flags counts; "-" or a word without a dash ends
// the flags, and so does "--", which is dropped. The error texts are Go's.
//
// Refused here but not by the stock shim: an action other than start and delete (the stock shim
// serves then) and words after the action, because "delete -bundle X" would clean up the working
// directory; ids and namespaces that could lead out of their directory.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace thinshim {

// By precedence: help and version need no other flag, info needs no namespace.
enum class Action { help, version, info, serve, start, remove };

struct Arguments {
  Action action = Action::serve;

  std::string containerd_namespace;  // -namespace
  std::string id;                    // -id: of the container, or of the sandbox when serving
  std::string address;               // -address: containerd's gRPC socket; else GRPC_ADDRESS
  std::string bundle;                // -bundle: empty if the bundle is the working directory
  std::string socket;                // -socket: where to listen; empty: the listener is fd 3
  bool debug = false;                // -debug

  // The environment; empty or false if a variable is not set. containerd sets two more, which no
  // stock shim reads (1.6 to main): NAMESPACE equals -namespace, and MAX_SHIM_VERSION is 2 from
  // every containerd, also from one that speaks version 3.
  std::string ttrpc_address;  // TTRPC_ADDRESS: where events go
  bool sched_core = false;    // SCHED_CORE: if not empty, a core scheduling domain
  std::string config_file;    // THINSHIM_CONFIG, thinshim's own: see shim/config.h
};

// getenv, or a test's replacement.
using Lookup = std::function<const char*(const char* name)>;

// `words` is argv without the program's name. Throws Error invalid_argument, with a text of one
// line. `start` may lack both namespace and id: stdin has them then (shim/start.h).
Arguments parse_arguments(const std::vector<std::string>& words, const Lookup& environment);

// Throws Error invalid_argument unless they are a valid namespace and id.
void check_names(const std::string& containerd_namespace, const std::string& id);

// What -help prints, several lines.
std::string usage(const std::string& program);

}  // namespace thinshim
