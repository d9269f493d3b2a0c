// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/status.h"

#include <string_view>

#include "ttrpc/frame.h"

namespace thinshim {
namespace {

// The length of the UTF-8 sequence at the front of `text` (RFC 3629, section 4), 0 where none
// stands there.
std::size_t sequence_length(std::string_view text) {
  auto byte = [&](std::size_t i) -> unsigned { return static_cast<unsigned char>(text[i]); };
  unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t length = sequence_length(text);
    if (length == 0)
      out += "\xef\xbf\xbd";
    else
      out += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

wire::Status make_status(Code code, std::string_view message) {
  wire::Status status;
  status.set_code(static_cast<int>(code == Code::ok ? Code::unknown : code));
  status.set_message(to_utf8(message));
  return status;
}

}  // namespace

wire::Status to_status(const Error& failure) { return make_status(failure.code(), failure.what()); }

wire::Status to_status(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return to_status(error);
  } catch (const std::exception& error) {
    return make_status(Code::unknown, error.what());
  } catch (...) {
    return make_status(Code::unknown, "unknown failure");
  }
}

Error to_error(const wire::Status& status) {
  return {static_cast<Code>(status.code()), status.message()};
}

Error message_too_long(std::size_t length) {
  return {Code::resource_exhausted, "message length " + std::to_string(length) +
                                        " exceed maximum message size of " +
                                        std::to_string(kMaxFrameData)};
}

Error malformed_payload() {
  return {Code::internal,
          "ttrpc: error unmarshalling payload: proto: cannot parse invalid wire-format data"};
}

}  // namespace thinshim
