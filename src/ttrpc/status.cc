// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/status.h"

#include <string_view>

#include "base/quote.h"
#include "ttrpc/frame.h"

namespace thinshim {
namespace {

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t length = utf8_length(text);
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
