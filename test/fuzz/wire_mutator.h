// SPDX-License-Identifier: Apache-2.0
// Mutates protobuf messages without their types: parses the wire format
// (https://protobuf.dev/programming-guides/encoding), changes a field, also of a nested message,
// and serialises it with correct lengths. Bytes that are no message are mutated as by libFuzzer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace thinshim::fuzz {

std::string mutate_message(std::string_view message, std::mt19937& random);
// libFuzzer's mutation. ASCII mostly stays ASCII, because strings that are no UTF-8 make the whole
// message invalid.
std::string mutate_bytes(std::string_view bytes, std::mt19937& random);

// Replaces the input by a changed one, as LLVMFuzzerCustomMutator must.
inline std::size_t give_back(const std::string& changed, std::uint8_t* data, std::size_t most) {
  return changed.copy(reinterpret_cast<char*>(data), most);
}

}  // namespace thinshim::fuzz
