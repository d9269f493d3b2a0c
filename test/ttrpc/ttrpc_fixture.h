// SPDX-License-Identifier: Apache-2.0
// A server with a service for tests, on a socket in a directory of its own, and a peer that sends
// any bytes. After each test nothing may be left: no descriptor, no handle of the loop, no handler.
#pragma once

#include <dirent.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "support/temp_dir.h"
#include "support/unix_socket.h"
#include "ttrpc.pb.h"
#include "ttrpc/client.h"
#include "ttrpc/frame.h"
#include "ttrpc/server.h"

namespace thinshim::test {

using namespace std::chrono_literals;
using ::ttrpc::KeyValue;

// A timeout that a passing test never reaches.
inline constexpr Duration kTestTimeout = 20s;

inline std::size_t open_descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  std::size_t count = 0;
  while (::readdir(directory)) ++count;
  ::closedir(directory);
  return count;
}

inline std::string message(const std::string& key, const std::string& value = "") {
  KeyValue pair;
  pair.set_key(key);
  pair.set_value(value);
  return pair.SerializeAsString();
}

class TestService {
 public:
  explicit TestService(Loop& event_loop) : loop(event_loop) {}

  Task<KeyValue> echo(KeyValue request) {
    count_call();
    co_return request;
  }
  // Answers after the gate is open.
  Task<KeyValue> wait(KeyValue request) {
    count_call();
    Waiting probe(*this);
    co_await gate.wait();
    co_return request;
  }
  Task<KeyValue> fail(KeyValue request) {
    if (request.key() == "error") throw Error::not_found("container " + request.value());
    if (request.key() == "standard") throw std::runtime_error(request.value());
    if (request.key() == "memory") throw std::bad_alloc();
    if (request.key() == "later") co_await sleep(loop, 1ms);
    if (request.key() == "zero") throw Error(Code::ok, request.value());
    throw 42;
  }
  // A reply of as many bytes as the value says.
  Task<KeyValue> big(KeyValue request) {
    count_call();
    KeyValue response;
    response.set_value(std::string(std::stoul(request.value()), 'x'));
    co_return response;
  }
  Task<KeyValue> big_later(KeyValue request) {
    Waiting probe(*this);
    co_await gate.wait();
    co_return co_await big(std::move(request));
  }

  Loop& loop;
  Event gate;
  Event changed;  // set when one of these changes
  int calls = 0;
  int waiting = 0;  // handlers that wait for the gate

 private:
  // Counts a waiting handler while it exists.
  struct Waiting {
    explicit Waiting(TestService& owner) : service(owner) { change(1); }
    ~Waiting() { change(-1); }
    void change(int by) {
      service.waiting += by;
      service.announce();
    }
    TestService& service;
  };
  void count_call() {
    ++calls;
    announce();
  }
  void announce() {
    changed.set();
    changed.clear();
  }
};

struct Reply {
  FrameHeader header;
  ::ttrpc::Response response;
  int code() const { return response.status().code(); }
  const std::string& text() const { return response.status().message(); }
  std::string key() const { return parse_message<KeyValue>(response.payload()).key(); }
  std::string value() const { return parse_message<KeyValue>(response.payload()).value(); }
};

// The bytes of a frame, not from the codec under test.
inline std::string frame(std::uint32_t length, std::uint32_t stream, int type, int flags,
                         const std::string& data) {
  std::string bytes;
  for (std::uint32_t number : {length, stream})
    for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(number >> shift & 0xff);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  return bytes + data;
}
inline std::string frame(std::uint32_t stream, int type, int flags, const std::string& data) {
  return frame(static_cast<std::uint32_t>(data.size()), stream, type, flags, data);
}
inline std::string request_frame(std::uint32_t stream, const std::string& method,
                                 const std::string& payload, std::int64_t timeout_nano = 0,
                                 int flags = 0, const std::string& service = "test.Service") {
  ::ttrpc::Request request;
  request.set_service(service);
  request.set_method(method);
  request.set_payload(payload);
  request.set_timeout_nano(timeout_nano);
  return frame(stream, 1, flags, request.SerializeAsString());
}

class RawPeer {
 public:
  RawPeer(Loop& loop, Fd socket) : fd_(std::move(socket)), watch_(loop, fd_.get()) {}

  Task<> send(std::string bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      ssize_t n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n >= 0)
        sent += static_cast<std::size_t>(n);
      else if (errno == EAGAIN)
        co_await watch_.writable();
      else
        throw_errno("raw peer: send");
    }
  }
  // Sends what fits into the socket; returns the number of bytes.
  std::size_t send_now(const std::string& bytes) {
    ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  // The next reply; nothing if the server has closed the connection.
  Task<std::optional<Reply>> receive() {
    Reply reply;
    std::string header = co_await read(kFrameHeaderSize);
    if (header.size() < kFrameHeaderSize) co_return std::nullopt;
    reply.header = read_frame_header(header);
    std::string data = co_await read(reply.header.length);
    if (!reply.response.ParseFromString(data)) throw std::runtime_error("not a response");
    co_return reply;
  }
  Task<std::string> read(std::size_t size) {
    std::string bytes;
    while (bytes.size() < size) {
      char buffer[65536];
      ssize_t n = ::recv(fd_.get(), buffer, std::min(sizeof buffer, size - bytes.size()), 0);
      if (n > 0)
        bytes.append(buffer, static_cast<std::size_t>(n));
      else if (n < 0 && errno == EAGAIN)
        co_await watch_.readable();
      else
        break;
    }
    co_return bytes;
  }
  // Shuts the sending side; replies can still be read.
  void shut_sending() { ::shutdown(fd_.get(), SHUT_WR); }

 private:
  Fd fd_;
  Watch watch_;
};

class TtrpcTest : public testing::Test {
 protected:
  TtrpcTest() {
    server->add("test.Service", "Echo", service, &TestService::echo);
    server->add("test.Service", "Wait", service, &TestService::wait);
    server->add("test.Service", "Fail", service, &TestService::fail);
    server->add("test.Service", "Big", service, &TestService::big);
    server->add("test.Service", "BigLater", service, &TestService::big_later);
    server->add("test.Service", "Raw", raw_echo);
    server->add("test.Service", "FailWithBytes", fail_with_bytes);
  }
  void TearDown() override {
    clients_gone();
    tasks.reset();
    server.reset();
    EXPECT_EQ(service.waiting, 0) << "handlers outlived their server";
    EXPECT_EQ(loop.close(), 0) << "the loop still owns handles";
    EXPECT_EQ(open_descriptors(), descriptors_before);
  }
  virtual void clients_gone() {}

  static Task<std::string> raw_echo(std::string payload) { co_return payload; }
  static Task<std::string> fail_with_bytes(std::string payload) {
    throw std::runtime_error(payload);
    co_return payload;
  }

  // Runs the loop until the task is done; throws after the timeout.
  template <class T>
  T await(Task<T> task) {
    std::optional<T> result = loop.run(within(loop, kTestTimeout, std::move(task)));
    if (!result) throw std::runtime_error("this takes too long");
    return std::move(*result);
  }
  void await(Task<> task) {
    bool finished = loop.run(within(loop, kTestTimeout, std::move(task)));
    if (!finished) throw std::runtime_error("this takes too long");
  }
  // Each runs the loop until its condition is true.
  Task<> until_waiting(std::size_t count) {
    while (static_cast<std::size_t>(service.waiting) != count) co_await service.changed.wait();
  }
  Task<> until_called(int count) {
    while (service.calls < count) co_await service.changed.wait();
  }
  Task<> until_connected(std::size_t count) {
    while (server->connections() != count) co_await sleep(loop, 1ms);
  }
  Task<> yield_once() { co_await yield(loop); }
  Task<> rest(Duration time) { co_await sleep(loop, time); }

  static std::pair<Fd, Fd> socket_pair() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {Fd(ends[0]), Fd(ends[1])};
  }
  // A peer that the server has accepted.
  RawPeer peer() {
    auto [ours, theirs] = socket_pair();
    server->adopt(std::move(theirs));
    return RawPeer(loop, std::move(ours));
  }
  void serve() { tasks->spawn(server->serve(listen_at(socket_path)), "serve"); }

  // Sends the bytes and returns the reply, which must come.
  Reply ask(RawPeer& peer, const std::string& bytes) {
    await(peer.send(bytes));
    return receive(peer);
  }
  Reply receive(RawPeer& peer) {
    std::optional<Reply> reply = await(peer.receive());
    if (!reply) throw std::runtime_error("the server closed the connection");
    return std::move(*reply);
  }
  // The next `count` replies, which must be successes, on these and the following streams.
  Task<> receive_successes(RawPeer& peer, std::uint32_t first_stream, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      std::optional<Reply> reply = co_await peer.receive();
      if (!reply || reply->code() != 0 || reply->header.stream != first_stream + 2 * i)
        throw std::runtime_error("reply " + std::to_string(i) + " is not what it should be");
    }
  }
  bool is_closed(RawPeer& peer) { return !await(peer.receive()).has_value(); }
  // The connection works: an echo on a new stream.
  void expect_alive(RawPeer& peer, std::uint32_t stream) {
    Reply reply = ask(peer, request_frame(stream, "Echo", message("alive")));
    EXPECT_EQ(reply.header.stream, stream);
    EXPECT_EQ(reply.code(), 0) << reply.text();
    EXPECT_EQ(reply.key(), "alive");
  }

  std::size_t descriptors_before_loop = open_descriptors();
  // libuv's first loop opens descriptors that stay for the life of the process.
  static std::size_t descriptors_without_a_loop() {
    Loop().close();
    return open_descriptors();
  }

  google::protobuf::LogSilencer silence_;  // it prints what isn't UTF-8
  std::size_t descriptors_before = descriptors_without_a_loop();
  Loop loop;
  TempDir directory;
  std::string socket_path = directory / "s";
  TestService service{loop};
  std::unique_ptr<Server> server = std::make_unique<Server>(loop);
  std::unique_ptr<TaskSet> tasks = std::make_unique<TaskSet>();
};

}  // namespace thinshim::test
