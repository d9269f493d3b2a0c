// SPDX-License-Identifier: Apache-2.0
// Metrics of block devices as text, for comparison.
#pragma once

#include <string>

#include "cgroup/stats_v1.h"

namespace thinshim::test {

using BlkioEntries = google::protobuf::RepeatedPtrField<v1::stats::BlkIOEntry>;
inline std::string text_of(const BlkioEntries& entries) {
  std::string text;
  for (const auto& entry : entries)
    text += std::to_string(entry.major()) + ":" + std::to_string(entry.minor()) + " '" +
            entry.op() + "' " + std::to_string(entry.value()) + " " + entry.device() + "\n";
  return text;
}

}  // namespace thinshim::test
