// SPDX-License-Identifier: Apache-2.0
// rdma.current and rdma.max, which are the same in v1 and v2; so is Entry, in two packages.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/quote.h"
#include "base/text.h"

namespace thinshim {

// Lines "DEVICE hca_handle=NUMBER hca_object=max".
template <class Entry>
void parse_rdma(std::string_view text, google::protobuf::RepeatedPtrField<Entry>& result) {
  each_line(text, [&](std::string_view line) {
    std::string_view device = cut_word(line);
    if (device.empty() || !is_utf8(device)) return;
    Entry& entry = *result.Add();
    entry.set_device(std::string(device));
    each_pair(line, [&](std::string_view name, std::string_view value) {
      std::uint64_t number = parse_limit(value, UINT32_MAX).value_or(0);
      if (name == "hca_handle") entry.set_hca_handles(static_cast<std::uint32_t>(number));
      if (name == "hca_object") entry.set_hca_objects(static_cast<std::uint32_t>(number));
    });
  });
}

}  // namespace thinshim
