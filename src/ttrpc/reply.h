// SPDX-License-Identifier: Apache-2.0
// The right to answer one request later, without a coroutine that waits: for calls that stay open
// for weeks, of which one connection may have thousands (Wait).
//
// A Reply does not keep the connection. Once that is closed, the request was answered, or its
// deadline has passed, an answer has no effect. The holder of a Reply has to answer: a client waits
// for ever otherwise.
#pragma once

#include <cstdint>
#include <memory>

#include "base/error.h"

namespace google::protobuf {
class MessageLite;
}

namespace thinshim {

class Connection;

class Reply {
 public:
  Reply(std::weak_ptr<Connection> connection, std::uint32_t stream);

  // Whether the client still waits.
  bool is_awaited() const;
  void send(const google::protobuf::MessageLite& response) const;
  void refuse(const Error& reason) const;

 private:
  std::weak_ptr<Connection> connection_;
  std::uint32_t stream_;
};

}  // namespace thinshim
