// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/reply.h"

#include <google/protobuf/message_lite.h>

#include <utility>

#include "ttrpc/connection.h"
#include "ttrpc/status.h"

namespace thinshim {

Reply::Reply(std::weak_ptr<Connection> connection, std::uint32_t stream)
    : connection_(std::move(connection)), stream_(stream) {}

bool Reply::is_awaited() const {
  const std::shared_ptr<Connection> connection = connection_.lock();
  return connection && connection->is_in_flight(stream_);
}

void Reply::send(const google::protobuf::MessageLite& response) const {
  if (const std::shared_ptr<Connection> connection = connection_.lock())
    connection->reply(stream_, response.SerializeAsString());
}

void Reply::refuse(const Error& reason) const {
  if (const std::shared_ptr<Connection> connection = connection_.lock())
    connection->refuse(stream_, to_status(reason));
}

}  // namespace thinshim
