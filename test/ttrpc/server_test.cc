// SPDX-License-Identifier: Apache-2.0
// The server's answers to requests.
#include "ttrpc/server.h"

#include <chrono>
#include <limits>

#include "ttrpc_fixture.h"

namespace thinshim::test {
namespace {

using namespace std::string_literals;

// The answers of the Go shim of containerd 1.6.20 to the same requests: literal bytes. (Its texts
// after "unmarshal request error: " and "error unmarshalling payload: " are of its own protobuf
// library.)
class StockConversation : public TtrpcTest {
 protected:
  StockConversation() {
    server->add("containerd.task.v2.Task", "Connect", connect);
    server->add("containerd.task.v2.Task", "Parse", service, &TestService::echo);
  }
  static Task<std::string> connect([[maybe_unused]] std::string payload) {
    co_return "\x08\xaa\xd5\x01"s;
  }
  // As containerd sends it.
  static std::string send_connect(char stream, char flags = 0) {
    return "\0\0\0\x28\0\0\0"s + stream + '\1' + flags +
           "\n\x17"
           "containerd.task.v2.Task\x12\x07"
           "Connect\x1a\4\n\2t1";
  }
  static std::string receive_connect(char stream) {
    return "\0\0\0\6\0\0\0"s + stream + "\2\0\x12\4\x08\xaa\xd5\1"s;
  }
};

TEST_F(StockConversation, HasTheSameBytes) {
  const std::string kOdd = "\x08\3\x12\x31StreamID must be odd for client initiated streams"s;
  const std::string kTooLong =
      "\x08\x08\x12=message length 4194305 exceed maximum message size of 4194304"s;
  const std::string too_much((4 << 20) + 1, 'z');
  struct {
    std::string name, sent, received;
  } const kTable[] = {
      {"a request", send_connect(1), receive_connect(1)},
      {"an even stream", send_connect(2), "\0\0\0\x37\0\0\0\2\2\0\n\x35"s + kOdd},
      {"stream 0", send_connect(0), "\0\0\0\x37\0\0\0\0\2\0\n\x35"s + kOdd},
      {"no request at all", "\0\0\0\0\0\0\0\1\1\0"s,
       "\0\0\0\x0e\0\0\0\1\2\0\n\x0c\x08\x0c\x12\x08service "s},
      {"an unknown service", "\0\0\0\x0c\0\0\0\1\1\0\n\7no.Such\x12\1X"s,
       "\0\0\0\x15\0\0\0\1\2\0\n\x13\x08\x0c\x12\x0fservice no.Such"s},
      {"an unknown method",
       "\0\0\0\x1c\0\0\0\1\1\0\n\x17"
       "containerd.task.v2.Task\x12\1X"s,
       "\0\0\0\x0e\0\0\0\1\2\0\n\x0c\x08\x0c\x12\x08method X"s},
      {"too long a request", "\0\x40\0\1\0\0\0\1\1\0"s + too_much,
       "\0\0\0\x43\0\0\0\1\2\0\nA"s + kTooLong},
      {"too long a frame of an unknown type on an even stream",
       "\0\x40\0\1\0\0\0\2\x09\0"s + too_much, "\0\0\0\x43\0\0\0\2\2\0\nA"s + kTooLong},
      {"a request that is to remain open", send_connect(1, 2), receive_connect(1)},
      {"a request that is closed", send_connect(1, 1), receive_connect(1)},
      {"all flags", send_connect(1, '\xff'), receive_connect(1)},
      {"unknown types", "\0\0\0\3\0\0\0\1\x09\0abc\0\0\0\1\0\0\0\1\2\0x\0\0\0\0\0\0\0\1\0\0"s, ""},
  };
  for (const auto& row : kTable) {
    SCOPED_TRACE(row.name);
    RawPeer peer = this->peer();
    await(peer.send(row.sent + send_connect(9)));
    std::string received = await(peer.read(row.received.size() + receive_connect(9).size()));
    EXPECT_EQ(received, row.received + receive_connect(9));
  }
}

TEST_F(StockConversation, PutsTheSameTextBeforeAParsersError) {
  RawPeer peer = this->peer();
  Reply request = ask(peer, "\0\0\0\2\0\0\0\1\1\0\xff\xff"s);
  EXPECT_EQ(request.code(), 3);
  EXPECT_EQ(request.text().rfind("unmarshal request error: ", 0), 0u) << request.text();
  Reply text = ask(peer, "\0\0\0\3\0\0\0\3\1\0\n\1\xff"s);  // no UTF-8
  EXPECT_EQ(text.code(), 3);
  Reply payload = ask(peer, request_frame(5, "Parse", "\xff\xff", 0, 0, "containerd.task.v2.Task"));
  EXPECT_EQ(payload.code(), 13);
  EXPECT_EQ(payload.text().rfind("ttrpc: error unmarshalling payload: ", 0), 0u) << payload.text();
  expect_alive(peer, 7);
}

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

TEST_F(ServerTest, UnderstandsARequestThatArrivesByteByByte) {
  RawPeer peer = this->peer();
  for (char byte : request_frame(1, "Echo", message("slowly"))) {
    await(peer.send(std::string(1, byte)));
    await(yield_once());
  }
  EXPECT_EQ(receive(peer).key(), "slowly");
}

TEST_F(ServerTest, ASlowHandlerDelaysNoOtherRequest) {
  RawPeer peer = this->peer();
  await(peer.send(request_frame(1, "Wait", message("slow"))));
  Reply fast = ask(peer, request_frame(3, "Echo", message("fast")));
  EXPECT_EQ(fast.header.stream, 3u);
  EXPECT_EQ(server->requests_in_flight(), 1u);
  service.gate.set();
  Reply slow = receive(peer);
  EXPECT_EQ(slow.header.stream, 1u);
  EXPECT_EQ(slow.key(), "slow");
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

TEST_F(ServerTest, RefusesAStreamIdThatDoesNotIncrease) {
  RawPeer peer = this->peer();
  expect_alive(peer, 5);
  for (std::uint32_t used : {5u, 3u, 1u}) {
    Reply reply = ask(peer, request_frame(used, "Echo", message("again")));
    EXPECT_EQ(reply.header.stream, used);
    EXPECT_EQ(reply.code(), 3);
    EXPECT_EQ(reply.text(), "StreamID cannot be re-used and must increment");
  }
  expect_alive(peer, 7);
  expect_alive(peer, 0xfffffffd);
  expect_alive(peer, 0xffffffff);
  EXPECT_EQ(ask(peer, request_frame(1, "Echo", message("wrapped"))).code(), 3);
  RawPeer another = this->peer();
  expect_alive(another, 1);
}

TEST_F(ServerTest, ARefusedRequestUsesItsNumberUp) {
  RawPeer peer = this->peer();
  EXPECT_EQ(ask(peer, request_frame(7, "Nothing", "")).code(), 12);
  EXPECT_EQ(ask(peer, request_frame(7, "Echo", "")).code(), 3);
  expect_alive(peer, 9);
}

TEST_F(ServerTest, RefusesDataOnAnyStream) {
  RawPeer peer = this->peer();
  await(peer.send(request_frame(1, "Wait", message("open"), 0, kRemoteOpen)));
  for (std::uint32_t stream : {1u, 3u, 0xffffffffu})
    for (int flags : {0, 1, 4, 5}) {
      Reply reply = ask(peer, frame(stream, 3, flags, "data"));
      EXPECT_EQ(reply.header.stream, stream);
      EXPECT_EQ(reply.code(), 3);
      EXPECT_EQ(reply.text(), "StreamID is no longer active");
    }
  EXPECT_EQ(ask(peer, frame(2, 3, 0, "data")).text(),
            "StreamID must be odd for client initiated streams");
  expect_alive(peer, 3);
}

TEST_F(ServerTest, ReturnsTheErrorOfAHandler) {
  struct {
    std::string kind, detail;
    int code;
    std::string text;
  } const kTable[] = {
      {"error", "abc", 5, "container abc: not found"},
      {"standard", "broken", 2, "broken"},
      {"memory", "", 2, "std::bad_alloc"},
      {"zero", "odd", 2, "odd"},
      {"anything", "", 2, "unknown failure"},
      {"later", "", 2, "unknown failure"},
  };
  RawPeer peer = this->peer();
  std::uint32_t stream = 1;
  for (const auto& row : kTable) {
    Reply reply = ask(peer, request_frame(stream, "Fail", message(row.kind, row.detail)));
    EXPECT_EQ(reply.code(), row.code);
    EXPECT_EQ(reply.text(), row.text);
    stream += 2;
  }
  expect_alive(peer, stream);
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

TEST_F(ServerTest, FailsReadablyWhateverBytesTheReasonHas) {
  RawPeer peer = this->peer();
  Reply reply = ask(peer, request_frame(1, "FailWithBytes", "runc: \xff\xfe"));
  EXPECT_EQ(reply.code(), 2);
  EXPECT_EQ(reply.text(), "runc: \xef\xbf\xbd\xef\xbf\xbd");
}

TEST_F(ServerTest, AHandlerThatIsNoCoroutineMayThrowAsWell) {
  struct Local {
    static Task<std::string> refuse(std::string) { throw std::runtime_error("at once"); }
  };
  server->add("test.Service", "Throw", Local::refuse);
  server->add("test.Service", "Empty", Handler());
  RawPeer peer = this->peer();
  EXPECT_EQ(ask(peer, request_frame(1, "Throw", "")).text(), "at once");
  EXPECT_EQ(ask(peer, request_frame(3, "Empty", "")).code(), 2);
  expect_alive(peer, 5);
}

TEST_F(ServerTest, RefusesAMethodThatIsAddedTwice) {
  EXPECT_THROW(server->add("test.Service", "Raw", raw_echo), std::logic_error);
}

TEST_F(ServerTest, CancelsAndAnswersAtTheDeadline) {
  RawPeer peer = this->peer();
  for (std::int64_t nanoseconds :
       {std::int64_t{1}, std::int64_t{999'999}, std::int64_t{20'000'000}}) {
    std::uint32_t stream = static_cast<std::uint32_t>(nanoseconds) | 1;
    Reply reply = ask(peer, request_frame(stream, "Wait", message("late"), nanoseconds));
    EXPECT_EQ(reply.header.stream, stream);
    EXPECT_EQ(reply.code(), 4);
    EXPECT_EQ(reply.text(), "context deadline exceeded");
    EXPECT_EQ(service.waiting, 0);
  }
  EXPECT_EQ(service.calls, 3);
  expect_alive(peer, 0x7fffffff);
}

TEST_F(ServerTest, IsNeverEarlyAtTheDeadline) {
  RawPeer peer = this->peer();
  for (std::uint32_t stream = 1; stream < 60; stream += 2) {
    const auto before = std::chrono::steady_clock::now();
    ask(peer, request_frame(stream, "Wait", message("late"), 2'999'999));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 2'999'999ns);
  }
}

TEST_F(ServerTest, DoesNotStartWhatIsTooLateAlready) {
  RawPeer peer = this->peer();
  std::uint32_t stream = 1;
  for (std::int64_t nanoseconds : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
    Reply reply = ask(peer, request_frame(stream, "Echo", message("past"), nanoseconds));
    EXPECT_EQ(reply.code(), 4);
    EXPECT_EQ(reply.text(), "context deadline exceeded");
    stream += 2;
  }
  EXPECT_EQ(service.calls, 0);
}

TEST_F(ServerTest, AnswersBeforeADeadlineHoweverFarItIs) {
  RawPeer peer = this->peer();
  std::int64_t longest = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(ask(peer, request_frame(1, "Echo", message("at once"), longest)).key(), "at once");
  await(peer.send(request_frame(3, "Wait", message("later"), longest)));
  expect_alive(peer, 5);
  service.gate.set();
  EXPECT_EQ(receive(peer).key(), "later");
}

TEST_F(ServerTest, SendsRepliesOfUpToFourMebibytes) {
  RawPeer peer = this->peer();
  std::size_t most = kMaxFrameData - 10;  // less two tags and two lengths
  Reply fits = ask(peer, request_frame(1, "Big", message("", std::to_string(most))));
  EXPECT_EQ(fits.header.length, kMaxFrameData);
  EXPECT_EQ(fits.value().size(), most);

  Reply too_long = ask(peer, request_frame(3, "Big", message("", std::to_string(most + 1))));
  EXPECT_EQ(too_long.header.stream, 3u);
  EXPECT_EQ(too_long.code(), 8);
  EXPECT_EQ(too_long.text(), "message length 4194305 exceed maximum message size of 4194304");
  expect_alive(peer, 5);
}

TEST_F(ServerTest, TakesRequestsOfUpToFourMebibytes) {
  RawPeer peer = this->peer();
  std::string payload(kMaxFrameData - request_frame(1, "Raw", std::string(4 << 20, 'r')).size() +
                          (4 << 20) + kFrameHeaderSize,
                      'r');
  std::string request = request_frame(1, "Raw", payload);
  ASSERT_EQ(request.size(), kMaxFrameData + kFrameHeaderSize);
  tasks->spawn(peer.send(request), "send");
  Reply reply = receive(peer);
  EXPECT_EQ(reply.response.payload(), payload);
  EXPECT_EQ(server->buffered(), 0u);
}

TEST_F(ServerTest, ServesManyPeersAtATime) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(std::make_unique<RawPeer>(peer()));
    await(peers.back()->send(request_frame(1, "Wait", message(std::to_string(i)))));
  }
  await(until_waiting(100));
  EXPECT_EQ(server->connections(), 100u);
  service.gate.set();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(receive(*peers[i]).key(), std::to_string(i));
}

}  // namespace
}  // namespace thinshim::test
