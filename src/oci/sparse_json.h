// SPDX-License-Identifier: Apache-2.0
// What a client sends for the runtime, as the stock shim passes it on: read into Go's structs and
// written again, by which members that say nothing are left out (encoding/json, "omitempty";
// runtime-spec, specs-go/config.go). Runtimes do not expect them: runc crashes at a `null` in
// resources.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thinshim {

// How the outermost object is changed.
struct SparseJson {
  // Its members whose names are free: they say nothing where they are empty, and else all that is
  // in them counts.
  std::vector<std::string_view> maps = {};
  // Its members that are taken out, and those that are put at its end, as JSON.
  std::vector<std::string_view> without = {};
  std::vector<std::pair<std::string_view, std::string>> with = {};
};

// `text` without its members, at any depth, that are null, "" or []. An object, a number and a
// boolean stay, whatever they say: in Go they may be behind a pointer. Numbers stay to the letter.
// Throws Error invalid_argument "WHAT is no JSON object" or "WHAT is no JSON: reason".
std::string sparse_json(const std::string& text, const std::string& what, const SparseJson& change);

}  // namespace thinshim
