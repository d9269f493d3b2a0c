// SPDX-License-Identifier: Apache-2.0
// Peers that send garbage, never read, send too much, or disconnect: the server and the other peers
// must not be affected.
#include <sys/resource.h>
#include <sys/wait.h>

#include <random>

#include "ttrpc_fixture.h"

namespace thinshim::test {
namespace {

class HostilePeer : public TtrpcTest {
 protected:
  // Sends as much as possible while the server runs and reads; returns the number of bytes.
  Task<std::size_t> send_until_full(RawPeer& peer, std::string bytes) {
    std::size_t sent = 0;
    for (int refusals = 0; sent < bytes.size() && refusals < 20;) {
      std::size_t n = peer.send_now(bytes.substr(sent, 100'000));
      sent += n;
      refusals = n == 0 ? refusals + 1 : 0;
      co_await yield(loop);
    }
    co_return sent;
  }
};

std::string random_bytes(std::mt19937& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST_F(HostilePeer, MaySendGarbage) {
  RawPeer good = peer();
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::mt19937 random(seed);
    RawPeer bad = peer();
    await(bad.send(random_bytes(random, random() % 20'000)));
    bad.shut_sending();
    while (await(bad.receive())) {
    }
    EXPECT_LE(server->buffered(), kMaxFrameData);
    expect_alive(good, 2 * seed + 1);
  }
}

TEST_F(HostilePeer, MayFillValidFramesWithGarbage) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::mt19937 random(seed);
    RawPeer bad = peer();
    std::string input;
    for (int i = 0; i < 200; ++i) {
      std::string data = random_bytes(random, random() % 50);
      if (random() % 3 == 0) data = message("a", data);
      if (random() % 3 == 0) {
        const char* kMethods[] = {"Echo", "Wait", "Fail", "Raw", "None"};
        data = request_frame(0, kMethods[random() % 5], data, std::int32_t(random())).substr(10);
      }
      std::uint32_t stream = random() % 2 ? random() : static_cast<std::uint32_t>(2 * i + 1);
      input += frame(stream, random() % 5, random() % 10, data);
    }
    await(bad.send(input));
    bad.shut_sending();
    while (await(bad.receive())) {
    }
    EXPECT_EQ(service.waiting, 0);
  }
  RawPeer good = peer();
  expect_alive(good, 1);
}

TEST_F(HostilePeer, MaySendAWrongLength) {
  for (std::uint32_t length : {0xffffffffu, 0x80000000u, (4u << 20) + 1}) {
    RawPeer liar = peer();
    Reply reply = ask(liar, frame(length, 1, 1, 0, ""));
    EXPECT_EQ(reply.code(), 8);
    EXPECT_EQ(reply.text(), "message length " + std::to_string(length) +
                                " exceed maximum message size of 4194304");
    await(liar.send(std::string(4 << 20, 'z')));
    await(yield_once());
    EXPECT_EQ(server->buffered(), 0u);
  }
  RawPeer slow = peer();  // announces the maximum, and sends little
  await(slow.send(frame(4 << 20, 1, 1, 0, "abc")));
  await(yield_once());
  EXPECT_LE(server->buffered(), 13u);
}

TEST_F(HostilePeer, ContinuesAfterAnOversizedMessage) {
  RawPeer peer = this->peer();
  const std::uint32_t length = 64 << 20;
  tasks->spawn(peer.send(frame(length, 1, 1, 0, std::string(length, 'z')) +
                         request_frame(3, "Echo", message("after"))),
               "send");
  EXPECT_EQ(receive(peer).code(), 8);
  EXPECT_EQ(receive(peer).key(), "after");
  EXPECT_EQ(server->buffered(), 0u);
}

TEST_F(HostilePeer, IsNotReadWhileItDoesNotReadItself) {
  RawPeer unreading = peer();
  RawPeer good = peer();
  std::string data;
  std::uint32_t requests = 0;
  for (; requests < 40'000; ++requests)
    data += request_frame(2 * requests + 1, "Raw", std::string(1000, 'r'));
  std::size_t sent = await(send_until_full(unreading, data));
  EXPECT_LT(sent, data.size());
  // The unsent bytes are limited: by the limit at which the server stops reading, and one more
  // read.
  EXPECT_GT(server->buffered(), kPauseAbove);
  EXPECT_LT(server->buffered(), kPauseAbove + (256 << 10));
  expect_alive(good, 1);

  // It may begin to read at any time, and loses nothing.
  tasks->spawn(unreading.send(data.substr(sent)), "send the rest");
  await(receive_successes(unreading, 1, requests));
  EXPECT_EQ(server->buffered(), 0u);
}

TEST_F(HostilePeer, GetsShortRefusalsInPlaceOfRepliesThatItDoesNotRead) {
  RawPeer unreading = peer();
  RawPeer good = peer();
  service.gate.clear();
  std::string data;
  const std::uint32_t kRequests = 100;
  for (std::uint32_t i = 0; i < kRequests; ++i)
    data += request_frame(2 * i + 1, "BigLater", message("", std::to_string(1 << 20)));
  await(unreading.send(data));
  await(until_waiting(kRequests));
  service.gate.set();
  await(until_waiting(0));
  EXPECT_GT(server->buffered(), kMaxUnsent - (2u << 20));
  EXPECT_LT(server->buffered(), kMaxUnsent + kRequests * 1024);
  expect_alive(good, 1);

  std::uint32_t full = 0;
  for (std::uint32_t i = 0; i < kRequests; ++i) {
    Reply reply = receive(unreading);
    if (reply.code() == 0)
      ++full;
    else
      EXPECT_EQ(reply.code(), 8) << reply.text();
  }
  EXPECT_GE(full, 15u);
  EXPECT_LT(full, 20u);
  expect_alive(unreading, 2 * kRequests + 1);
}

TEST_F(HostilePeer, GetsAnErrorForTooManyRequestsInFlight) {
  RawPeer peer = this->peer();
  std::string data;
  std::uint32_t stream = 1;
  for (std::size_t i = 0; i < kMaxInFlight; ++i, stream += 2)
    data += request_frame(stream, "Wait", "");
  await(peer.send(data));
  await(until_waiting(kMaxInFlight));
  Reply reply = ask(peer, request_frame(stream, "Echo", message("one more")));
  EXPECT_EQ(reply.header.stream, stream);
  EXPECT_EQ(reply.code(), 8);
  EXPECT_EQ(server->requests_in_flight(), kMaxInFlight);

  RawPeer another = this->peer();
  expect_alive(another, 1);
  service.gate.set();
  await(receive_successes(peer, 1, kMaxInFlight));
  expect_alive(peer, stream + 2);
}

TEST_F(HostilePeer, GetsAnErrorForTooLargeRequestsInFlight) {
  RawPeer peer = this->peer();
  std::string large = message("", std::string((4 << 20) - 100, 'l'));
  for (std::uint32_t i = 0; i < 8; ++i) await(peer.send(request_frame(2 * i + 1, "Wait", large)));
  Reply reply = ask(peer, request_frame(17, "Wait", large));
  EXPECT_EQ(reply.header.stream, 17u);
  EXPECT_EQ(reply.code(), 8);
  expect_alive(peer, 19);
}

TEST_F(HostilePeer, DoesNotKeepOthersWaitingByFlooding) {
  RawPeer flood = peer();
  std::string data;
  std::uint32_t stream = 1;
  for (; data.size() < 150'000; stream += 2) data += request_frame(stream, "Echo", "");
  ASSERT_EQ(flood.send_now(data), data.size());
  RawPeer good = peer();
  const int before = service.calls;
  expect_alive(good, 1);
  EXPECT_LT(service.calls - before, 2000);
  EXPECT_GT(stream / 2, 3000u);
}

TEST_F(HostilePeer, LosesItsHandlersWhenItShutsItsSendingSide) {
  RawPeer peer = this->peer();
  await(peer.send(request_frame(1, "Wait", "")));
  await(until_waiting(1));
  peer.shut_sending();
  EXPECT_TRUE(is_closed(peer));
  EXPECT_EQ(service.waiting, 0);
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(HostilePeer, LosesItsHandlersWhenItDisconnects) {
  {
    RawPeer peer = this->peer();
    await(peer.send(request_frame(1, "Wait", "") + request_frame(3, "Wait", "", 1'000'000'000)));
    await(until_waiting(2));
  }
  await(until_waiting(0));
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_EQ(server->requests_in_flight(), 0u);
}

TEST_F(HostilePeer, MayDisconnectWithRepliesUnread) {
  {
    RawPeer peer = this->peer();
    await(peer.send(request_frame(1, "Big", message("", "4000000")) + request_frame(3, "Wait", "") +
                    request_frame(5, "Big", message("", "4000000"))));
    await(until_waiting(1));
    EXPECT_GT(server->buffered(), 4'000'000u);
  }
  await(until_waiting(0));
  await(until_connected(0));
  EXPECT_EQ(server->buffered(), 0u);
}

TEST_F(HostilePeer, MayDisconnectBeforeItsRequestIsRead) {
  for (int i = 0; i < 50; ++i) {
    RawPeer peer = this->peer();
    peer.send_now(request_frame(1, "Echo", message("gone")) + request_frame(3, "Wait", "") +
                  request_frame(5, "Big", message("", "4000000")));
  }
  await(until_connected(0));
  EXPECT_EQ(service.waiting, 0);
}

TEST_F(HostilePeer, MayStopInTheMiddleOfAFrame) {
  std::string request = request_frame(1, "Echo", message("cut"));
  for (std::size_t size = 0; size < request.size(); ++size) {
    RawPeer peer = this->peer();
    await(peer.send(request.substr(0, size)));
    peer.shut_sending();
    EXPECT_TRUE(is_closed(peer));
  }
  EXPECT_EQ(service.calls, 0);
}

// Connects to an abstract socket as another user. Returns 0 if the server closes the connection at
// once, else which step failed.
int connect_as(const sockaddr_un& address, socklen_t size, uid_t uid, gid_t gid) {
  int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (::setresgid(gid, gid, gid) < 0 || ::setresuid(uid, uid, uid) < 0) return 2;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), size) < 0) return 3;
  timeval timeout{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  char byte;
  return ::read(fd, &byte, 1) == 0 ? 0 : 4;
}

TEST_F(HostilePeer, OfAnotherUserIsRejected) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = "thinshim-test-" + std::to_string(::getpid());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  Fd listener(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  check(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), "bind");
  check(::listen(listener.get(), 8), "listen");
  tasks->spawn(server->serve(std::move(listener)), "serve");

  struct {
    uid_t uid;
    gid_t gid;
  } const kOthers[] = {{65534, 65534}, {65534, ::getegid()}, {::geteuid(), 65534}};
  for (const auto& other : kOthers) {
    pid_t child = ::fork();
    if (child == 0) ::_exit(connect_as(address, size, other.uid, other.gid));
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) await(yield_once());
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << "uid " << other.uid << " gid " << other.gid;
    EXPECT_EQ(server->connections(), 0u);
  }
}

Duration processor_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return Duration((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                  (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
}

TEST_F(HostilePeer, WaitsWhileDescriptorsAreScarce) {
  serve();
  rlimit usual{};
  ::getrlimit(RLIMIT_NOFILE, &usual);
  sockaddr_un address = unix_address(socket_path);
  Fd waiting(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  check(::connect(waiting.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "connect");
  rlimit none{3, usual.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  Duration before = processor_time();
  await(rest(400ms));
  Duration spent = processor_time() - before;
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_LT(spent, 200ms);
  RawPeer peer(loop, std::move(waiting));
  expect_alive(peer, 1);
}

}  // namespace
}  // namespace thinshim::test
