// SPDX-License-Identifier: Apache-2.0
// A trace, told by what belongs together: each request with its answer, each call of the runtime
// with its end, each process with its life. Places are indices of the trace's entries.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orders/trace.h"

namespace thinshim::orders {

using Place = std::size_t;

struct Request {
  std::string verb;
  Who who;
  Place asked;
  std::optional<Place> answered;
  std::optional<Place> hung_up;
};

struct RuntimeCall {
  std::string verb;
  Who who;
  bool all;
  bool force;
  Place begun;
  std::optional<Place> over;
};

struct Life {
  Who who = Who::init;
  std::optional<Place> made = {};
  std::optional<Place> died = {};
  std::optional<Place> started = {};  // as the events say
  std::optional<Place> told = {};     // its exit
};

struct Story {
  explicit Story(const Trace& told);

  const Entry& entry(Place place) const { return trace.entries[place]; }
  std::int64_t ms(Place place) const { return entry(place).ms; }
  const Life& life(Who who) const { return lives[static_cast<std::size_t>(who)]; }
  const Entry& answer(const Request& request) const { return entry(*request.answered); }
  bool was_granted(const Request& request) const {
    return request.answered && answer(request).code == Code::ok;
  }
  // Whether it is under way at that place.
  static bool is_open(const RuntimeCall& call, Place at) {
    return call.begun < at && (!call.over || *call.over > at);
  }
  // Whether its client waits at that place.
  static bool is_open(const Request& request, Place at) {
    return request.asked < at && (!request.answered || *request.answered > at) &&
           (!request.hung_up || *request.hung_up > at);
  }

  const Trace& trace;
  std::vector<Request> requests;
  std::vector<RuntimeCall> calls;
  std::array<Life, 3> lives;
  std::optional<Place> created;  // as the events say
  std::optional<Place> removed;
  Place freed;  // the trace's end where nothing ever was
};

// Whether the first lies before the second, where both are.
inline bool is_before(const std::optional<Place>& first, const std::optional<Place>& second) {
  return first && second && *first < *second;
}

}  // namespace thinshim::orders
