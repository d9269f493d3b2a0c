// SPDX-License-Identifier: Apache-2.0
// Converts between Error and google.rpc.Status; and errors with the texts of ttrpc's Go server
// (server.go, services.go, channel.go of https://github.com/containerd/ttrpc).
#pragma once

#include <cstddef>
#include <exception>
#include <string>

#include "base/error.h"
#include "wire.pb.h"

namespace thinshim {

// Invalid UTF-8 in the text becomes U+FFFD: Go's protobuf would reject the whole response. Code 0
// becomes Unknown, because 0 means success.
wire::Status to_status(const Error& failure);
// An Error as above; any other exception becomes Unknown, with its text.
wire::Status to_status(std::exception_ptr failure);
// `status.code()` must not be 0. Codes that Code does not name keep their number.
Error to_error(const wire::Status& status);

// ResourceExhausted: a message of `length` bytes, above kMaxFrameData.
Error message_too_long(std::size_t length);
// Internal: the bytes are not a valid message.
Error malformed_payload();

// Throws malformed_payload().
template <class Message>
Message parse_message(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) throw malformed_payload();
  return message;
}

}  // namespace thinshim
