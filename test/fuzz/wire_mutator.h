// SPDX-License-Identifier: Apache-2.0
// Changes messages of protobuf without knowing their types: takes the wire format apart
// (https://protobuf.dev/programming-guides/encoding), changes a field or one of a message within
// it, and puts it together with lengths that are right. Bytes that are no message are changed as
// libFuzzer does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace thinshim::fuzz {

std::string mutate_message(std::string_view message, std::mt19937& random);
// By libFuzzer. What was ASCII mostly stays so, because strings that are no UTF-8 cost the whole
// message.
std::string mutate_bytes(std::string_view bytes, std::mt19937& random);

// Puts the changed input in the place of the old one, as a LLVMFuzzerCustomMutator is to.
inline std::size_t give_back(const std::string& changed, std::uint8_t* data, std::size_t most) {
  return changed.copy(reinterpret_cast<char*>(data), most);
}

}  // namespace thinshim::fuzz
