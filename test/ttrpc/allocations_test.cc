// SPDX-License-Identifier: Apache-2.0
// The server where an allocation fails. The operator new of this program fails once, at the
// allocation that a test names.
#include <cstdlib>
#include <new>

#include "ttrpc_fixture.h"

namespace {
long until_failure = -1;  // allocations; below 0: none fails
}

void* operator new(std::size_t size) {
  if (until_failure >= 0 && until_failure-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace thinshim::test {
namespace {

class ServerAllocations : public TtrpcTest {
 protected:
  // Serves what the peer has sent; the allocation `n` fails. False where there are fewer.
  bool serve_without(long n) {
    try {
      loop.run(serve(n));
    } catch (const std::bad_alloc&) {
      // the test's own
    }
    const bool reached = until_failure < 0;
    until_failure = -1;
    return reached;
  }
  static Task<> send_later(std::string payload, thinshim::Reply reply) {
    KeyValue response;
    response.set_key(payload);
    reply.send(response);
    co_return;
  }
  Task<> serve(long n) {
    until_failure = n;
    for (int turn = 0; turn < 3; ++turn) co_await yield(loop);
  }
};

// With the deadline of most of containerd's requests, too.
TEST_F(ServerAllocations, MayFailAndThePeerIsAnswered) {
  server->add_late("test.Service", "Late", send_later);
  const std::string kLarge = message("", "1000000");  // more than the socket takes at once
  const std::string kRequests[] = {
      request_frame(1, "Echo", message("key", std::string(100, 'v'))),
      request_frame(1, "Echo", message("key"), 60'000'000'000),
      request_frame(1, "Late", "key"),
      request_frame(1, "Late", "key", 60'000'000'000),
      request_frame(1, "Fail", message("error")),
      request_frame(1, "Fail", message("later")),
      request_frame(1, "Big", kLarge),
      request_frame(1, "NoSuchMethod", ""),
  };
  for (const std::string& request : kRequests) {
    std::optional<Reply> expected;
    long n = 0;
    for (bool reached = true; reached; ++n) {
      RawPeer peer = this->peer();
      ASSERT_EQ(peer.send_now(request), request.size());
      reached = serve_without(n);
      std::optional<Reply> reply;
      ASSERT_NO_THROW(reply = await(peer.receive())) << request << " without allocation " << n;
      if (!reply || reply->text() == "std::bad_alloc") continue;
      if (!expected) expected = reply;
      EXPECT_EQ(reply->response.SerializeAsString(), expected->response.SerializeAsString())
          << request << " without allocation " << n;
    }
    EXPECT_GT(n, 10) << request;
    EXPECT_TRUE(expected) << request;
  }
}

}  // namespace
}  // namespace thinshim::test
