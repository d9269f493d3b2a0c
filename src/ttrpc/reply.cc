// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/reply.h"

#include <google/protobuf/message_lite.h>

#include <exception>
#include <new>
#include <utility>

#include "ttrpc/connection.h"

namespace thinshim {

Reply::Reply(std::weak_ptr<Connection> connection, std::uint32_t stream)
    : connection_(std::move(connection)), stream_(stream) {}

bool Reply::is_awaited() const {
  const std::shared_ptr<Connection> connection = connection_.lock();
  return connection && connection->is_in_flight(stream_);
}

void Reply::send(const google::protobuf::MessageLite& response) const {
  const std::shared_ptr<Connection> connection = connection_.lock();
  if (!connection) return;
  try {
    connection->reply(stream_, response.SerializeAsString());
  } catch (const std::bad_alloc&) {
    connection->refuse(stream_, std::current_exception());
  }
}

void Reply::refuse(const Error& reason) const {
  if (const std::shared_ptr<Connection> connection = connection_.lock())
    connection->refuse(stream_, std::make_exception_ptr(reason));
}

}  // namespace thinshim
