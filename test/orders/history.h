// SPDX-License-Identifier: Apache-2.0
// A trace, sorted: each request with its answer, each call of the runtime with its end, each
// process with its events. An Index is that of an entry of the trace.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orders/trace.h"

namespace thinshim::orders {

using Index = std::size_t;

struct Request {
  std::string verb;
  Role role;
  Index sent;
  std::optional<Index> answered;
  std::optional<Index> disconnected;
};

struct RuntimeCall {
  std::string verb;
  Role role;
  bool all;
  bool force;
  Index begun;
  std::optional<Index> ended;
};

struct Life {
  Role role = Role::init;
  std::optional<Index> created = {};
  std::optional<Index> died = {};
  std::optional<Index> start_published = {};
  std::optional<Index> exit_published = {};
};

struct History {
  explicit History(const Trace& recorded);

  const Entry& entry(Index index) const { return trace.entries[index]; }
  std::int64_t ms(Index index) const { return entry(index).ms; }
  const Life& life(Role role) const { return lives[static_cast<std::size_t>(role)]; }
  const Entry& answer(const Request& request) const { return entry(*request.answered); }
  bool succeeded(const Request& request) const {
    return request.answered && answer(request).code == Code::ok;
  }
  // Whether the call is under way at that index.
  static bool is_open(const RuntimeCall& call, Index at) {
    return call.begun < at && (!call.ended || *call.ended > at);
  }
  // Whether a client waits for the answer at that index.
  static bool is_open(const Request& request, Index at) {
    return request.sent < at && (!request.answered || *request.answered > at) &&
           (!request.disconnected || *request.disconnected > at);
  }

  const Trace& trace;
  std::vector<Request> requests;
  std::vector<RuntimeCall> calls;
  std::array<Life, 3> lives;
  std::optional<Index> create_published;
  std::optional<Index> delete_published;
  Index unblocked;  // the number of entries if the trace has no such entry
};

// Whether both are set, and the first is before the second.
inline bool is_before(const std::optional<Index>& first, const std::optional<Index>& second) {
  return first && second && *first < *second;
}

}  // namespace thinshim::orders
