// SPDX-License-Identifier: Apache-2.0
// What the server answers to what is said to it.
#include "ttrpc/server.h"

#include "ttrpc_fixture.h"

namespace thinshim::test {
namespace {

class ServerTest : public TtrpcTest {};

TEST_F(ServerTest, AnswersARequestOnItsStream) {
  RawPeer peer = this->peer();
  Reply reply = ask(peer, request_frame(1, "Echo", message("hello")));
  EXPECT_EQ(reply.header.stream, 1u);
  EXPECT_EQ(reply.header.type, FrameType::response);
  EXPECT_EQ(reply.header.flags, 0);
  EXPECT_FALSE(reply.response.has_status());
  EXPECT_EQ(reply.key(), "hello");
}

TEST_F(ServerTest, ASlowHandlerDelaysNobody) {
  RawPeer peer = this->peer();
  await(peer.say(request_frame(1, "Wait", message("slow"))));
  Reply fast = ask(peer, request_frame(3, "Echo", message("fast")));
  EXPECT_EQ(fast.header.stream, 3u);
  EXPECT_EQ(server->requests_in_flight(), 1u);
  service.gate.set();
  Reply slow = hear(peer);
  EXPECT_EQ(slow.header.stream, 1u);
  EXPECT_EQ(slow.key(), "slow");
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

}  // namespace
}  // namespace thinshim::test
