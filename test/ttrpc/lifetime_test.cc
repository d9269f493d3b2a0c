// SPDX-License-Identifier: Apache-2.0
// How serving begins and ends.
#include <malloc.h>

#include <vector>

#include "ttrpc_fixture.h"

namespace thinshim::test {
namespace {

class ServerLifetime : public TtrpcTest {
 protected:
  // The result of connect(2).
  int try_to_connect() {
    sockaddr_un address = unix_address(socket_path);
    Fd socket(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    int result = ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    return result == 0 ? 0 : errno;
  }
  Task<> drain(Duration limit) { co_await server->drain(limit); }
};

TEST_F(ServerLifetime, ServesEachPeer) {
  serve();
  Client client(loop, socket_path);
  EXPECT_EQ(await(client.call("test.Service", "Raw", "a", kTestTimeout)), "a");
  EXPECT_EQ(server->connections(), 1u);
  client.close();
  await(until_connected(0));
}

TEST_F(ServerLifetime, ThrowsIfTheListenerIsNotASocket) {
  auto [one, other] = socket_pair();
  Task<> serving = server->serve(std::move(one));
  other.reset();  // makes it readable
  EXPECT_THROW(await(std::move(serving)), Error);
}

TEST_F(ServerLifetime, StopsAcceptingWhenServeIsCancelledAndServesTheOthersOn) {
  serve();
  Client client(loop, socket_path);
  await(client.call("test.Service", "Raw", "a", kTestTimeout));
  tasks->cancel();
  EXPECT_EQ(try_to_connect(), ECONNREFUSED);
  EXPECT_EQ(await(client.call("test.Service", "Raw", "b", kTestTimeout)), "b");
}

TEST_F(ServerLifetime, DrainsAtOnceIfNothingIsUnsent) {
  serve();
  RawPeer idle = peer();
  RawPeer busy = peer();
  await(busy.send(request_frame(1, "Wait", "")));
  await(until_waiting(1));
  const std::uint64_t before = loop.now();
  await(drain(kTestTimeout));
  EXPECT_LT(loop.now() - before, 5000u);
  EXPECT_EQ(service.waiting, 0);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_TRUE(is_closed(idle));
  EXPECT_TRUE(is_closed(busy));
  EXPECT_EQ(try_to_connect(), ECONNREFUSED);
  await(tasks->wait_empty());  // serve() has returned
}

TEST_F(ServerLifetime, DrainSendsPendingReplies) {
  RawPeer peer = this->peer();
  await(peer.send(request_frame(1, "Big", message("", "4000000"))));
  await(until_called(1));
  ASSERT_GT(server->buffered(), 3'000'000u);
  tasks->spawn(drain(kTestTimeout), "drain");
  Reply reply = receive(peer);
  EXPECT_EQ(reply.value().size(), 4'000'000u);
  EXPECT_TRUE(is_closed(peer));
  await(tasks->wait_empty());
}

TEST_F(ServerLifetime, DrainReadsNoFurtherRequests) {
  RawPeer peer = this->peer();
  await(peer.send(request_frame(1, "Big", message("", "4000000"))));
  await(until_called(1));
  const int calls = service.calls;
  peer.send_now(request_frame(3, "Echo", ""));
  tasks->spawn(drain(kTestTimeout), "drain");
  receive(peer);
  EXPECT_TRUE(is_closed(peer));
  EXPECT_EQ(service.calls, calls);
}

TEST_F(ServerLifetime, DrainTimesOutForAPeerThatDoesNotRead) {
  RawPeer peer = this->peer();
  await(peer.send(request_frame(1, "Big", message("", "4000000"))));
  await(until_called(1));
  const std::uint64_t before = loop.now();
  await(drain(50ms));
  EXPECT_GE(loop.now() - before, 50u);
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(ServerLifetime, CloseClosesAllConnectionsAtOnce) {
  serve();
  RawPeer peer = this->peer();
  await(peer.send(request_frame(1, "Wait", "")));
  await(until_waiting(1));
  server->close();
  EXPECT_EQ(service.waiting, 0);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_TRUE(is_closed(peer));
  RawPeer late = this->peer();  // is not served
  EXPECT_TRUE(is_closed(late));
  await(tasks->wait_empty());
  server->close();
}

TEST_F(ServerLifetime, AReplyBeforeTheDrainIsSent) {
  // As the Shutdown request does: its handler makes another task drain the server.
  Event asked;
  struct Local {
    static Task<std::string> shutdown(Event& event) {
      event.set();
      co_return "bye";
    }
    static Task<> drain_when_asked(Event& event, Server& server) {
      co_await event.wait();
      co_await server.drain(kTestTimeout);
    }
  };
  server->add("test.Service", "Shutdown", [&asked](std::string) { return Local::shutdown(asked); });
  tasks->spawn(Local::drain_when_asked(asked, *server), "drain");
  RawPeer peer = this->peer();
  EXPECT_EQ(ask(peer, request_frame(1, "Shutdown", "")).response.payload(), "bye");
  EXPECT_TRUE(is_closed(peer));
}

// With a sanitizer's allocator these figures are 0, and the test checks nothing.
std::size_t allocated() { return mallinfo2().uordblks + mallinfo2().hblkhd; }

TEST_F(ServerLifetime, IdlePeersHoldNoBuffers) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 20; ++i) peers.push_back(std::make_unique<RawPeer>(peer()));
  for (auto& peer : peers) expect_alive(*peer, 1);
  const std::size_t before = allocated();
  for (auto& peer : peers) {
    tasks->spawn(peer->send(request_frame(3, "Raw", std::string(1 << 20, 'r'))), "send");
    EXPECT_EQ(receive(*peer).header.length, (1u << 20) + 4);
  }
  EXPECT_LE(allocated(), before + 10'000);
}

TEST_F(ServerLifetime, AHundredThousandRequestsLeaveNothingBehind) {
  RawPeer peer = this->peer();
  std::uint32_t stream = 1;
  std::size_t before = 0;
  for (int round = 0; round < 100; ++round) {
    std::string data;
    for (int i = 0; i < 1000; ++i, stream += 2)
      data += request_frame(stream, "Echo", message("a"), i % 2 * 1'000'000'000);
    tasks->spawn(peer.send(std::move(data)), "send");
    await(receive_successes(peer, stream - 2000, 1000));
    if (round == 10) before = allocated();
  }
  EXPECT_LE(allocated(), before + 1000);
  EXPECT_EQ(server->buffered(), 0u);
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

}  // namespace
}  // namespace thinshim::test
