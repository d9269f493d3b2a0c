// SPDX-License-Identifier: Apache-2.0
// The plugin graph: parts of the shim that are started in the order in which they need each other.
//
// Types and ids are containerd's (https://github.com/containerd/plugin), so its documents apply:
//
//   io.containerd.internal.v1.shutdown    io.containerd.event.v1.publisher
//   io.containerd.ttrpc.v1.task           needs both of the above
//
// shim/server.cc lists every plugin; nothing registers itself. What a plugin makes, and what it
// uses of others, are typed members of an object that the `init` functions capture, and that takes
// the parts down in the reverse order of its members.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace thinshim {

// Why a plugin chose not to be loaded ("no event address given"); nothing where it was.
using SkipReason = std::optional<std::string>;

struct Plugin {
  std::string type;
  std::string id;
  // Types. Every plugin of these types is started before this one, and at least one must have been.
  std::vector<std::string> needs;
  std::function<SkipReason()> init;

  std::string uri() const { return type + "." + id; }
};

// In which order the plugins are started, by their URIs: each after those it needs, otherwise as
// given; those whose URI is in `disabled` are left out. Starts nothing.
//
// Throws Error: failed_precondition for a need that no plugin can meet or that is disabled, and for
// a cycle (it names the members); already_exists for two of one URI; not_found for a disabled one
// that doesn't exist.
std::vector<std::string> plugin_order(const std::vector<Plugin>& plugins,
                                      const std::vector<std::string>& disabled);

// Starts them. Returns the URIs of those that run now, in order.
//
// Throws what plugin_order throws, before anything was started. Throws failed_precondition where
// all that a plugin needs of a type was skipped, and "failed to load plugin URI: ..." with the code
// of what an init threw: the rest isn't started then.
std::vector<std::string> load_plugins(const std::vector<Plugin>& plugins,
                                      const std::vector<std::string>& disabled);

}  // namespace thinshim
