// SPDX-License-Identifier: Apache-2.0
// What a server may answer: bytes for the client that publishes events, and frames that are split
// at any byte. The first byte says how many calls wait for them, and for how long.
#include "ttrpc/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "async/loop.h"
#include "fuzz/fuzz.h"
#include "fuzz/sandbox.h"
#include "ttrpc/frame.h"

namespace thinshim::fuzz {
namespace {

using namespace std::chrono_literals;

const std::string kSocket = kHere + "socket";

// Shared by all runs of this process.
Fd& listener() {
  static Fd socket;
  return socket;
}

void listen_in_sandbox() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, kSocket.c_str(), kSocket.size() + 1);
  listener() =
      Fd(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  check(::bind(listener().get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
  check(::listen(listener().get(), 16), "listen");
}

struct Outcomes {
  int answered = 0;
  int failed = 0;
};

Task<> call(Client& client, Duration timeout, Outcomes& outcomes) {
  try {
    co_await client.call("s", "m", "payload", timeout);
    ++outcomes.answered;
  } catch (const Error& failure) {
    expect(failure.code() != Code::ok, "a failure is none that reads as success");
    ++outcomes.failed;
  }
}

void check_client(unsigned how, std::string_view bytes) {
  NoDescriptorLeft no_descriptor_left;
  const int count = 1 + static_cast<int>(how % 4);
  Loop loop;
  Outcomes outcomes;
  {
    Client client(loop, kSocket);
    TaskSet calls;
    for (int i = 0; i < count; ++i)
      calls.spawn(call(client, how & 4 ? 1ms : 0ms, outcomes), "call");
    Fd server(::accept4(listener().get(), nullptr, nullptr, SOCK_CLOEXEC));
    expect(static_cast<bool>(server), "the client connects at once");
    // Fits into a socket's buffer.
    expect(::send(server.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
                   static_cast<ssize_t>(bytes.size()) ||
               bytes.size() > 100'000,
           "the client is connected");
    if (how & 8) {
      Task<> ending = calls.wait_empty();
      loop.run(within(loop, 2ms, std::move(ending)));
    }
    server.reset();
    loop.run(calls.wait_empty());
    expect(outcomes.answered + outcomes.failed == count, "every call has one outcome");
    expect(client.calls_in_flight() == 0, "no call is left");
  }
  expect(loop.close() == 0, "the loop has no handle left");
}

std::vector<Frame> frames_in(std::string_view bytes, std::size_t piece) {
  FrameDecoder decoder;
  std::vector<Frame> frames;
  while (!bytes.empty()) {
    std::string_view part = take(bytes, piece);
    const std::size_t arrived = part.size() + decoder.buffered();
    while (std::optional<Frame> frame = decoder.next(part)) frames.push_back(std::move(*frame));
    expect(decoder.buffered() <= arrived, "memory grows with what has arrived");
  }
  return frames;
}

void check_frames(std::string_view bytes) {
  const std::vector<Frame> whole = frames_in(bytes, bytes.size());
  for (std::size_t piece : {1, 7, 11}) {
    const std::vector<Frame> cut = frames_in(bytes, piece);
    expect(cut.size() == whole.size(), "pieces make no difference");
    for (std::size_t i = 0; i < cut.size(); ++i)
      expect(cut[i].header == whole[i].header && cut[i].data == whole[i].data,
             "pieces make no difference");
  }
  std::string again;
  for (const Frame& frame : whole) {
    expect(frame.oversized() || frame.data.size() == frame.header.length, "a frame is whole");
    append_frame_header(again, frame.header);
    if (frame.oversized()) return;
    again += frame.data;
  }
  expect(bytes.starts_with(again), "what is written is read back the same");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  make_sandbox();
  thinshim::Loop().close();  // libuv keeps some descriptors of its first loop
  InSandbox in_sandbox;
  listen_in_sandbox();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  InSandbox in_sandbox;
  std::string_view bytes = text_of(data, size);
  const unsigned how = take_byte(bytes);
  check_frames(bytes);
  check_client(how, bytes);
  return 0;
}
