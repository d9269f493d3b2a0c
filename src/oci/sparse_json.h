// SPDX-License-Identifier: Apache-2.0
// Removes empty members from the JSON that a client sends for the runtime. The stock shim does so
// by decoding it into Go structs and encoding it again (encoding/json, "omitempty"; runtime-spec,
// specs-go/config.go). Runtimes rely on it: runc crashes at a `null` in resources.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thinshim {

// Changes to the outermost object.
struct SparseJson {
  // Its members that are Go maps: removed where they are empty, else kept with empty values too.
  std::vector<std::string_view> maps = {};
  // Members to remove, and members to append, as JSON.
  std::vector<std::string_view> without = {};
  std::vector<std::pair<std::string_view, std::string>> with = {};
};

// `text` without members, at any depth, that are null, "" or []. Objects, numbers and booleans
// stay, even {}, 0 and false: in Go they may be pointers. Numbers keep their spelling. Throws Error
// invalid_argument "WHAT is not a JSON object" or "WHAT is not JSON: reason".
std::string sparse_json(const std::string& text, const std::string& what, const SparseJson& change);

}  // namespace thinshim
