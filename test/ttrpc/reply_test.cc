// SPDX-License-Identifier: Apache-2.0
// Answers after the handler has returned.
#include "ttrpc/reply.h"

#include <malloc.h>

#include "ttrpc_fixture.h"

namespace thinshim::test {
namespace {

class ReplyTest : public TtrpcTest {
 protected:
  ReplyTest() {
    server->add_late("test.Service", "Keep", [this](std::string payload, thinshim::Reply reply) {
      return keep(std::move(payload), std::move(reply));
    });
  }
  Task<> keep(std::string payload, thinshim::Reply reply) {
    const KeyValue request = parse_message<KeyValue>(payload);
    if (request.key() == "later") co_await sleep(loop, 1ms);
    if (request.value() == "fail") throw Error::not_found("container " + request.key());
    if (request.value() == "now") reply.send(request);
    kept.push_back(std::move(reply));
  }
  Task<> until_kept(std::size_t count) {
    while (kept.size() != count) co_await sleep(loop, 1ms);
  }
  void ask_to_keep(RawPeer& peer, std::uint32_t stream, std::int64_t timeout_nano = 0) {
    const std::size_t before = kept.size();
    await(peer.send(request_frame(stream, "Keep", message("kept"), timeout_nano)));
    await(until_kept(before + 1));
  }
  static KeyValue answer(const std::string& key) {
    KeyValue response;
    response.set_key(key);
    return response;
  }
  std::vector<thinshim::Reply> kept;
};

TEST_F(ReplyTest, AnswersLongAfterTheHandlerHasReturned) {
  RawPeer peer = this->peer();
  ask_to_keep(peer, 1);
  ask_to_keep(peer, 3);
  expect_alive(peer, 5);
  EXPECT_EQ(server->requests_in_flight(), 2u);
  EXPECT_TRUE(kept[0].is_awaited());
  kept[1].send(answer("second"));
  EXPECT_FALSE(kept[1].is_awaited());
  kept[0].refuse(Error::not_found("first"));
  Reply second = receive(peer);
  EXPECT_EQ(second.header.stream, 3u);
  EXPECT_EQ(second.key(), "second");
  Reply first = receive(peer);
  EXPECT_EQ(first.header.stream, 1u);
  EXPECT_EQ(first.code(), 5);
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

TEST_F(ReplyTest, AnswersWithinTheHandler) {
  RawPeer peer = this->peer();
  for (const char* key : {"at once", "later"})
    EXPECT_EQ(ask(peer, request_frame(key[0] == 'l' ? 3 : 1, "Keep", message(key, "now"))).key(),
              key);
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

TEST_F(ReplyTest, IsTheHandlersFailureWhereItThrows) {
  RawPeer peer = this->peer();
  for (const char* key : {"at once", "later"}) {
    Reply reply = ask(peer, request_frame(key[0] == 'l' ? 3 : 1, "Keep", message(key, "fail")));
    EXPECT_EQ(reply.code(), 5);
    EXPECT_EQ(reply.text(), std::string("container ") + key + ": not found");
  }
  Reply unreadable = ask(peer, request_frame(5, "Keep", "\xff"));
  EXPECT_NE(unreadable.code(), 0);
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

TEST_F(ReplyTest, HasNoEffectTwiceNorAfterTheDeadline) {
  RawPeer peer = this->peer();
  ask_to_keep(peer, 1);
  kept[0].send(answer("once"));
  kept[0].send(answer("twice"));
  EXPECT_EQ(receive(peer).key(), "once");
  ask_to_keep(peer, 3, 5'000'000);
  Reply late = receive(peer);
  EXPECT_EQ(late.header.stream, 3u);
  EXPECT_EQ(late.code(), 4);
  EXPECT_EQ(late.text(), "context deadline exceeded");
  EXPECT_FALSE(kept[1].is_awaited());
  kept[1].send(answer("late"));
  expect_alive(peer, 5);
}

// A client's deadline may be days away.
TEST_F(ReplyTest, LeavesNothingOfADeadlineOnceItIsSent) {
  constexpr std::int64_t kDay = 24 * 3600 * 1'000'000'000LL;
  RawPeer peer = this->peer();
  std::uint32_t stream = 1;
  const auto ask_and_answer = [&] {
    ask_to_keep(peer, stream, kDay);
    kept.back().send(answer("now"));
    EXPECT_EQ(receive(peer).key(), "now");
    kept.clear();
    stream += 2;
  };
  ask_and_answer();
  const std::size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 1000; ++i) ask_and_answer();
  EXPECT_LT(mallinfo2().uordblks, before + 10'000);
}

TEST_F(ReplyTest, OfSeveralDeadlinesEachIsKept) {
  RawPeer peer = this->peer();
  constexpr std::int64_t kMillisecond = 1'000'000;
  const std::int64_t deadlines[] = {300, 3'600'000, 20, 100, 20};
  for (std::uint32_t i = 0; i < 5; ++i) ask_to_keep(peer, 1 + 2 * i, deadlines[i] * kMillisecond);
  kept[3].send(answer("in time"));
  EXPECT_EQ(receive(peer).key(), "in time");
  const std::uint32_t expired[] = {5, 9, 1};
  for (std::uint32_t expected : expired) {
    const Reply reply = receive(peer);
    EXPECT_EQ(reply.header.stream, expected);
    EXPECT_EQ(reply.code(), 4);
  }
  EXPECT_TRUE(kept[1].is_awaited());
  kept[1].send(answer("still"));
  EXPECT_EQ(receive(peer).key(), "still");
}

TEST_F(ReplyTest, HasNoEffectOnceThePeerHasDisconnected) {
  {
    RawPeer peer = this->peer();
    ask_to_keep(peer, 1);
    EXPECT_TRUE(kept[0].is_awaited());
  }
  await(until_connected(0));
  EXPECT_FALSE(kept[0].is_awaited());
  kept[0].send(answer("too late"));
  kept[0].refuse(Error::not_found("too late"));
}

}  // namespace
}  // namespace thinshim::test
