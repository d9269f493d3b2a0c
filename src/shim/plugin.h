// SPDX-License-Identifier: Apache-2.0
// The plugin graph: starts the parts of the shim in the order of their dependencies.
//
// Types and ids are containerd's (https://github.com/containerd/plugin), so its documents apply:
//
//   io.containerd.internal.v1.shutdown    io.containerd.event.v1.publisher
//   io.containerd.ttrpc.v1.task           needs both of the above
//
// shim/server.cc lists every plugin; there are no static registrars. What a plugin creates, and
// what it uses of others, are members of one object that the `init` functions capture; its
// destructor destroys them in reverse order.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace thinshim {

// Why a plugin was not loaded ("no event address given"); nothing if it was.
using SkipReason = std::optional<std::string>;

struct Plugin {
  std::string type;
  std::string id;
  // Types. Every plugin of these types is started before this one; of each type one must run.
  std::vector<std::string> needs;
  std::function<SkipReason()> init;

  std::string uri() const { return type + "." + id; }
};

// The URIs of the plugins in the order in which they start: each after those that it needs,
// otherwise as given, without those in `disabled`. Starts nothing.
//
// Throws Error: failed_precondition if a needed type is missing or disabled, and for a cycle (the
// text names its members); already_exists if two have the same URI; not_found if a URI in
// `disabled` does not exist.
std::vector<std::string> plugin_order(const std::vector<Plugin>& plugins,
                                      const std::vector<std::string>& disabled);

// Starts the plugins. Returns the URIs of those that run, in order.
//
// Throws what plugin_order throws, before it starts any. Throws failed_precondition if all plugins
// of a needed type were skipped. If an init throws, throws "failed to load plugin URI: ..." with
// the same code, and does not start the rest.
std::vector<std::string> load_plugins(const std::vector<Plugin>& plugins,
                                      const std::vector<std::string>& disabled);

}  // namespace thinshim
