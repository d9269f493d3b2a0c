// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/client.h"

#include "ttrpc_fixture.h"

namespace thinshim::test {
namespace {

using namespace std::string_literals;

class ClientTest : public TtrpcTest {
 protected:
  void clients_gone() override { client.reset(); }

  std::string raw(const std::string& payload, Duration timeout = kTestTimeout) {
    return await(client->call("test.Service", "Raw", payload, timeout));
  }
  // Returns the error of a call that must fail.
  template <class T>
  Error failure(Task<T> call) {
    try {
      await(std::move(call));
    } catch (const Error& error) {
      return error;
    }
    throw std::logic_error("the call succeeded");
  }
  Task<std::string> method(const std::string& name, Duration timeout = kTestTimeout,
                           const std::string& key = "", const std::string& value = "") {
    return client->call("test.Service", name, message(key, value), timeout);
  }
  // Accepts one client, and acts as the server.
  Task<std::unique_ptr<RawPeer>> accept(int listener) {
    Watch watch(loop, listener);
    co_await watch.readable();
    Fd peer(check(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    co_return std::make_unique<RawPeer>(loop, std::move(peer));
  }
  Task<> call_and_count(std::string text, int& finished) {
    std::string answer = co_await client->call("test.Service", "Raw", text, kTestTimeout);
    if (answer == text) ++finished;
  }
  Task<> call_and_keep(Task<std::string> call, std::optional<Error>& kept) {
    try {
      co_await std::move(call);
    } catch (const Error& error) {
      kept.emplace(error);
    }
  }

  static Task<std::string> answer_garbage([[maybe_unused]] std::string payload) {
    co_return "\xff\xff";
  }
  Task<> until_disconnected() {
    while (client->connected()) co_await sleep(loop, 1ms);
  }

  std::unique_ptr<Client> client = std::make_unique<Client>(loop, socket_path);
};

TEST_F(ClientTest, CallsOverOneConnection) {
  serve();
  EXPECT_FALSE(client->connected());
  EXPECT_EQ(raw("a"), "a");
  EXPECT_EQ(raw(""), "");
  EXPECT_EQ(raw(std::string(3 << 20, 'b')).size(), 3u << 20);
  EXPECT_TRUE(client->connected());
  EXPECT_EQ(server->connections(), 1u);
}

TEST_F(ClientTest, CallsWithTypedMessages) {
  serve();
  KeyValue request;
  request.set_key("k");
  request.set_value("v");
  KeyValue response = await(client->call<KeyValue>("test.Service", "Echo", request, kTestTimeout));
  EXPECT_EQ(response.key(), "k");
  EXPECT_EQ(response.value(), "v");
  server->add("test.Service", "Garbage", answer_garbage);
  Error malformed =
      failure(client->call<KeyValue>("test.Service", "Garbage", request, kTestTimeout));
  EXPECT_EQ(malformed.code(), Code::internal);
}

TEST_F(ClientTest, AThousandCallsInARow) {
  serve();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(raw(std::to_string(i)), std::to_string(i));
  EXPECT_EQ(client->calls_in_flight(), 0u);
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

TEST_F(ClientTest, SixtyFourCallsAtATime) {
  serve();
  TaskSet calls;
  int finished = 0;
  for (int i = 0; i < 64; ++i) calls.spawn(call_and_count(std::to_string(i), finished), "call");
  await(calls.wait_empty());
  EXPECT_EQ(finished, 64);
  EXPECT_EQ(server->connections(), 1u);
}

TEST_F(ClientTest, AnswersFindTheirCallsInWhateverOrder) {
  serve();
  std::optional<std::string> slow;
  struct Local {
    static Task<> keep(Task<std::string> call, std::optional<std::string>& result) {
      result = co_await std::move(call);
    }
  };
  TaskSet calls;
  calls.spawn(Local::keep(method("Wait", 0s, "slow"), slow), "slow");
  EXPECT_EQ(raw("fast"), "fast");
  EXPECT_FALSE(slow);
  service.gate.set();
  await(calls.wait_empty());
  EXPECT_EQ(parse_message<KeyValue>(slow.value()).key(), "slow");
}

TEST_F(ClientTest, ReturnsTheServersError) {
  serve();
  Error error = failure(method("Fail", kTestTimeout, "error", "abc"));
  EXPECT_EQ(error.code(), Code::not_found);
  EXPECT_STREQ(error.what(), "container abc: not found");
  EXPECT_EQ(failure(method("None")).code(), Code::unimplemented);
  EXPECT_EQ(raw("still there"), "still there");
}

TEST_F(ClientTest, TimesOutAndForgetsTheCall) {
  serve();
  Error error = failure(method("Wait", 20ms));
  EXPECT_EQ(error.code(), Code::deadline_exceeded);
  EXPECT_EQ(client->calls_in_flight(), 0u);
  EXPECT_EQ(raw("after"), "after");
  EXPECT_EQ(server->connections(), 1u);
}

TEST_F(ClientTest, IgnoresAnswersToCallsThatHaveTimedOut) {
  Fd listener = listen_at(socket_path);
  std::optional<Error> first;
  tasks->spawn(call_and_keep(method("Wait", 20ms), first), "first");
  std::unique_ptr<RawPeer> peer = await(accept(listener.get()));
  await(tasks->wait_empty());
  ASSERT_TRUE(first);
  EXPECT_EQ(first->code(), Code::deadline_exceeded);
  ::ttrpc::Response late;
  late.set_payload("late");
  int finished = 0;
  tasks->spawn(call_and_count("next", finished), "next");
  await(peer->send(frame(1, 2, 0, late.SerializeAsString())));
  late.set_payload("next");
  await(peer->send(frame(3, 2, 0, late.SerializeAsString())));
  await(tasks->wait_empty());
  EXPECT_EQ(finished, 1);
}

TEST_F(ClientTest, ForgetsACallThatIsCancelled) {
  serve();
  {
    TaskSet calls;
    std::optional<Error> kept;
    calls.spawn(call_and_keep(method("Wait"), kept), "call");
    await(until_waiting(1));
    EXPECT_EQ(client->calls_in_flight(), 1u);
  }
  EXPECT_EQ(client->calls_in_flight(), 0u);
  service.gate.set();
  EXPECT_EQ(raw("next"), "next");
}

TEST_F(ClientTest, FailsItsCallsWhenTheConnectionClosesAndReconnects) {
  Fd listener = listen_at(socket_path);
  std::optional<Error> one, two;
  tasks->spawn(call_and_keep(method("Wait", 0s), one), "one");
  tasks->spawn(call_and_keep(method("Wait", 0s), two), "two");
  std::unique_ptr<RawPeer> peer = await(accept(listener.get()));
  peer.reset();
  await(tasks->wait_empty());
  for (const std::optional<Error>& error : {one, two}) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::unavailable);
    EXPECT_STREQ(error->what(), "ttrpc: closed");
    EXPECT_EQ(error->errnum(), 0);
  }
  EXPECT_FALSE(client->connected());
  tasks->spawn(server->serve(std::move(listener)), "serve");
  EXPECT_EQ(raw("again"), "again");
}

TEST_F(ClientTest, NoticesWhileIdleThatTheServerHasDisconnected) {
  serve();
  raw("a");
  server->close();
  await(until_disconnected());
  await(tasks->wait_empty());
  EXPECT_EQ(failure(method("Echo")).errnum(), ECONNREFUSED);
}

TEST_F(ClientTest, ReturnsWhyItCannotConnect) {
  EXPECT_EQ(failure(method("Echo")).errnum(), ENOENT);
  EXPECT_EQ(failure(method("Echo")).code(), Code::unavailable);
  {
    Fd dead = listen_at(socket_path);
  }
  EXPECT_EQ(failure(method("Echo")).errnum(), ECONNREFUSED);
  client = std::make_unique<Client>(loop, std::string(200, 'x'));
  EXPECT_EQ(failure(method("Echo")).errnum(), ENAMETOOLONG);
  client = std::make_unique<Client>(loop, "");
  EXPECT_EQ(failure(method("Echo")).errnum(), ENOENT);
}

TEST_F(ClientTest, WaitsForRoomInTheBacklog) {
  Fd listener = listen_at(socket_path, 0);
  Client first(loop, socket_path);
  std::optional<Error> kept;
  tasks->spawn(call_and_keep(first.call("test.Service", "Raw", "", 0s), kept), "first");
  EXPECT_EQ(failure(method("Raw", 50ms)).code(), Code::deadline_exceeded);
  EXPECT_FALSE(client->connected());
  int finished = 0;
  tasks->spawn(call_and_count("second", finished), "second");
  await(yield_once());
  EXPECT_FALSE(client->connected());
  TaskSet serving;
  serving.spawn(server->serve(std::move(listener)), "serve");
  await(tasks->wait_empty());
  EXPECT_EQ(finished, 1);
  EXPECT_FALSE(kept);
}

TEST_F(ClientTest, RefusesToSendMoreThanFourMebibytes) {
  Fd listener = listen_at(socket_path);  // does not accept: the client itself refuses
  Error error =
      failure(client->call("test.Service", "Raw", std::string(4 << 20, 'x'), kTestTimeout));
  EXPECT_EQ(error.code(), Code::resource_exhausted);
  EXPECT_EQ(std::string(error.what()).rfind("message length 41943", 0), 0u);
  EXPECT_TRUE(client->connected());
  tasks->spawn(server->serve(std::move(listener)), "serve");
  EXPECT_EQ(raw("b"), "b");
}

TEST_F(ClientTest, DoesNotPileUpRequestsForAServerThatDoesNotRead) {
  Fd listener = listen_at(socket_path);
  std::vector<std::optional<Error>> kept(8);
  for (std::optional<Error>& error : kept)
    tasks->spawn(
        call_and_keep(client->call("test.Service", "Raw", std::string(3 << 20, 'x'), 0s), error),
        "call");
  std::size_t refused = 0;
  for (const std::optional<Error>& error : kept)
    if (error) {
      ++refused;
      EXPECT_EQ(error->code(), Code::resource_exhausted);
    }
  EXPECT_EQ(refused, 3u);
  client->close();
  await(tasks->wait_empty());
}

TEST_F(ClientTest, DropsWhatIsUnsentWithTheCallThatTimedOut) {
  Fd listener = listen_at(socket_path);
  EXPECT_EQ(failure(client->call("test.Service", "Raw", std::string(3 << 20, 'x'), 50ms)).code(),
            Code::deadline_exceeded);
  EXPECT_FALSE(client->connected());
  int finished = 0;
  tasks->spawn(call_and_count("anew", finished), "call");
  TaskSet serving;
  serving.spawn(server->serve(std::move(listener)), "serve");
  await(tasks->wait_empty());
  EXPECT_EQ(finished, 1);
}

TEST_F(ClientTest, AnswersThatAreNoneFailTheirCallOnly) {
  Fd listener = listen_at(socket_path);
  struct {
    std::string answer;
    Code code;
  } const kTable[] = {
      {frame(5 << 20, 1, 2, 0, std::string(5 << 20, 'z')), Code::resource_exhausted},
      {frame(3, 3, 0, "data"), Code::internal},
      {frame(5, 2, 0, "\xff\xff"), Code::internal},
      {frame(7, 2, 0, "\x0a\x04\x08\x05\x12\x00"s), Code::not_found},
      {frame(8, 2, 0, "") + frame(99, 77, 0, "abc") + frame(9, 9, 9, ""), Code::internal},
  };
  std::unique_ptr<RawPeer> peer;
  for (const auto& row : kTable) {
    std::optional<Error> kept;
    TaskSet call;
    call.spawn(call_and_keep(method("Raw"), kept), "call");
    if (!peer) peer = await(accept(listener.get()));
    await(peer->send(row.answer));
    await(call.wait_empty());
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->code(), row.code) << kept->what();
    EXPECT_TRUE(client->connected());
  }
}

// What the Go shim of containerd 1.6.20 sent when it published an exit (its payload shortened).
TEST_F(ClientTest, SendsTheBytesOfTheStockPublisher) {
  const std::string head =
      "\n*containerd.services.events.ttrpc.v1.Events\x12\x07"
      "Forward\x1a\5ABCDE";
  const std::string tail =
      "*&\n\x1a"
      "containerd-namespace-ttrpc\x12\x08ttrpccap";
  Fd listener = listen_at(socket_path);
  std::optional<Error> kept;
  Client::Metadata metadata = {{"containerd-namespace-ttrpc", "ttrpccap"}};
  tasks->spawn(call_and_keep(client->call("containerd.services.events.ttrpc.v1.Events", "Forward",
                                          "ABCDE", 5s, metadata),
                             kept),
               "call");
  std::unique_ptr<RawPeer> peer = await(accept(listener.get()));
  FrameHeader header = read_frame_header(await(peer->read(kFrameHeaderSize)));
  EXPECT_EQ(header.stream, 1u);
  EXPECT_EQ(header.type, FrameType::request);
  EXPECT_EQ(header.flags, 0);
  std::string data = await(peer->read(header.length));
  EXPECT_EQ(data.substr(0, head.size()), head);
  EXPECT_EQ(data.substr(data.size() - tail.size()), tail);
  // Between them is field 4: five seconds less the time since then.
  std::string between = data.substr(head.size(), data.size() - head.size() - tail.size());
  ASSERT_FALSE(between.empty());
  EXPECT_EQ(between[0], '\x20');
  std::uint64_t nanoseconds = 0;
  for (std::size_t i = between.size() - 1; i > 0; --i)
    nanoseconds = nanoseconds << 7 | (static_cast<unsigned char>(between[i]) & 0x7f);
  EXPECT_LE(nanoseconds, 5'000'000'000u);
  EXPECT_GT(nanoseconds, 1'000'000'000u);
  await(peer->send("\0\0\0\0\0\0\0\1\2\0"s));
  await(tasks->wait_empty());
  EXPECT_FALSE(kept);
}

TEST_F(ClientTest, TakesTheLongestTimeouts) {
  serve();
  EXPECT_EQ(raw("a", Duration::max()), "a");
  EXPECT_EQ(raw("b", Duration(0)), "b");
  EXPECT_EQ(raw("c", Duration(-5)), "c");
}

}  // namespace
}  // namespace thinshim::test
