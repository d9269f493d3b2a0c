// SPDX-License-Identifier: Apache-2.0
// Failures on the wire: Error and google.rpc.Status, and the refusals that ttrpc's Go server words
// itself (server.go, services.go, channel.go of https://github.com/containerd/ttrpc).
#pragma once

#include <cstddef>
#include <exception>
#include <string>

#include "base/error.h"
#include "wire.pb.h"

namespace thinshim {

// Bytes of the text that are no UTF-8 become U+FFFD, because Go's protobuf drops the whole response
// over one of them. A code of 0 becomes Unknown: a failure must not read as success.
wire::Status to_status(const Error& failure);
// An Error as above; any other exception is Unknown, with its text.
wire::Status to_status(std::exception_ptr failure);
// `status.code()` is not 0. Codes that Code does not name keep their number.
Error to_error(const wire::Status& status);

// ResourceExhausted: a message of `length` bytes, above kMaxFrameData.
Error message_too_long(std::size_t length);
// Internal: bytes that are not the message they should be.
Error malformed_payload();

// The protobuf message that the bytes stand for; throws malformed_payload().
template <class Message>
Message parse_message(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) throw malformed_payload();
  return message;
}

}  // namespace thinshim
