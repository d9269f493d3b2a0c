// SPDX-License-Identifier: Apache-2.0
#include "shim/plugin.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "base/quote.h"

namespace thinshim {
namespace {

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

// Sorts by depth-first search: a plugin follows those that it needs.
class Graph {
 public:
  Graph(const std::vector<Plugin>& plugins, const std::vector<std::string>& disabled)
      : plugins_(plugins), disabled_(disabled) {
    std::vector<std::string> known;
    for (const Plugin& plugin : plugins) {
      if (contains(known, plugin.uri())) throw Error::already_exists("plugin " + plugin.uri());
      known.push_back(plugin.uri());
    }
    for (const std::string& uri : disabled)
      if (!contains(known, uri)) throw Error::not_found("disabled plugin " + quoted(uri));
  }

  std::vector<const Plugin*> order() {
    for (const Plugin& plugin : plugins_)
      if (enabled(plugin)) visit(plugin);
    return std::move(order_);
  }

 private:
  bool enabled(const Plugin& plugin) const { return !contains(disabled_, plugin.uri()); }

  void visit(const Plugin& plugin) {
    if (std::ranges::find(order_, &plugin) != order_.end()) return;
    if (auto first = std::ranges::find(path_, &plugin); first != path_.end()) {
      std::string names;
      for (; first != path_.end(); ++first) names += (*first)->uri() + " -> ";
      throw Error::failed_precondition("plugin dependency cycle: " + names + plugin.uri());
    }
    for (const std::string& type : plugin.needs) check_need(plugin, type);
    path_.push_back(&plugin);
    for (const Plugin& other : plugins_)
      if (&other != &plugin && enabled(other) && contains(plugin.needs, other.type)) visit(other);
    path_.pop_back();
    order_.push_back(&plugin);
  }

  void check_need(const Plugin& plugin, const std::string& type) const {
    std::string disabled;
    for (const Plugin& other : plugins_) {
      if (&other == &plugin || other.type != type) continue;
      if (enabled(other)) return;
      disabled = other.uri();
    }
    throw Error::failed_precondition("plugin " + plugin.uri() + " needs " +
                                     (disabled.empty() ? type + ", which no plugin provides"
                                                       : disabled + ", which is disabled"));
  }

  const std::vector<Plugin>& plugins_;
  const std::vector<std::string>& disabled_;
  std::vector<const Plugin*> path_;  // from the root to the plugin being visited
  std::vector<const Plugin*> order_;
};

SkipReason load(const Plugin& plugin) {
  log::debug("loading plugin", {{"id", plugin.uri()}, {"type", plugin.type}});
  SkipReason reason;
  try {
    reason = plugin.init();
  } catch (const Error& error) {
    throw error.in("failed to load plugin " + plugin.uri());
  }
  if (reason) {
    log::info("skip loading plugin",
              {{"id", plugin.uri()}, {"type", plugin.type}, {"error", *reason}});
  }
  return reason;
}

}  // namespace

std::vector<std::string> plugin_order(const std::vector<Plugin>& plugins,
                                      const std::vector<std::string>& disabled) {
  std::vector<std::string> uris;
  for (const Plugin* plugin : Graph(plugins, disabled).order()) uris.push_back(plugin->uri());
  return uris;
}

std::vector<std::string> load_plugins(const std::vector<Plugin>& plugins,
                                      const std::vector<std::string>& disabled) {
  std::vector<std::string> running;
  std::vector<std::string> running_types;
  std::map<std::string, std::string> skipped;  // by type: the last skipped plugin, and why
  for (const Plugin* plugin : Graph(plugins, disabled).order()) {
    for (const std::string& type : plugin->needs) {
      if (contains(running_types, type)) continue;
      throw Error::failed_precondition("plugin " + plugin->uri() + " needs " + skipped[type]);
    }
    if (SkipReason reason = load(*plugin)) {
      skipped[plugin->type] = plugin->uri() + ", which was skipped: " + *reason;
    } else {
      running.push_back(plugin->uri());
      running_types.push_back(plugin->type);
    }
  }
  return running;
}

}  // namespace thinshim
