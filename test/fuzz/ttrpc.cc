// SPDX-License-Identifier: Apache-2.0
// What any process that can connect may send: bytes to the server, with a live task service. The
// first byte selects the world.
#include "fuzz/live_service.h"
#include "fuzz/wire_mutator.h"

namespace thinshim::fuzz {
namespace {

// Bits of the first byte.
constexpr unsigned kHasContainer = 1;  // c1, created
constexpr unsigned kHasRuntime = 2;
constexpr unsigned kInPieces = 4;
constexpr unsigned kLinger = 8;  // reads for a while before it closes
constexpr unsigned kDirectSignals = 16;

Task<> create_c1(Peer& peer) {
  containerd::task::v3::CreateTaskRequest request;
  request.set_id("c1");
  request.set_bundle(kHere + "b1");
  co_await peer.send(request_frame(1, "Create", request.SerializeAsString()));
  const std::optional<::ttrpc::Response> answer = co_await peer.answer(1, 10s);
  expect(answer && answer->status().code() == 0, "a container is created");
}

Task<> converse(LiveService& live, Peer& peer, unsigned ground, std::string bytes) {
  std::size_t piece = bytes.size();
  if (ground & kInPieces) piece = bytes.size() / 3 + 1;
  for (std::size_t sent = 0; sent < bytes.size(); sent += piece) {
    co_await peer.send(bytes.substr(sent, piece));
    if (ground & kInPieces) co_await yield(live.loop());
  }
  Task<std::optional<::ttrpc::Response>> waiting = peer.answer(0, 3ms);
  if (ground & kLinger) co_await std::move(waiting);
  peer.end();
  co_await peer.wait_closed();
}

void run(unsigned ground, std::string_view bytes) {
  const bool has_container = ground & kHasContainer;
  LiveService live({has_container || ground & kHasRuntime, (ground & kDirectSignals) != 0});
  std::optional<Peer> other;
  if (has_container) {
    other.emplace(live.loop(), live.connect());
    live.loop().run(create_c1(*other));
  }
  std::optional<Peer> peer(std::in_place, live.loop(), live.connect());
  live.loop().run(converse(live, *peer, ground, std::string(bytes)));
  // Each answer needs a frame of the input, at least its header.
  expect(peer->answers() <= bytes.size() / kFrameHeaderSize, "an answer has its question");
  peer.reset();
  if (other) {
    containerd::task::v3::ConnectRequest request;
    live.loop().run(other->send(request_frame(3, "Connect", request.SerializeAsString())));
    const auto answer = live.loop().run(other->answer(3, 5s));
    expect(answer && answer->status().code() == 0, "garbage on a connection ends no other");
    other->end();
    live.loop().run(other->wait_closed());
    other.reset();
  }
  live.loop().run(live.settle());
}

// The frames, and the bytes after them.
std::vector<Frame> frames_of(std::string_view& bytes) {
  std::vector<Frame> frames;
  while (bytes.size() >= kFrameHeaderSize) {
    const FrameHeader header = read_frame_header(bytes);
    if (header.length > bytes.size() - kFrameHeaderSize) break;
    frames.push_back({header, std::string(bytes.substr(kFrameHeaderSize, header.length))});
    bytes.remove_prefix(kFrameHeaderSize + header.length);
  }
  return frames;
}

// Other methods of the service.
std::string of_another_service(const std::string& data, std::mt19937& random) {
  constexpr const char* kServices[] = {kTask2, kTask3, kStartService};
  ::ttrpc::Request request;
  if (!request.ParseFromString(data)) return data;
  request.set_service(kServices[random() % std::size(kServices)]);
  if (request.service() == kStartService) request.set_method(kExpect);
  return request.SerializeAsString();
}

void mutate_frames(std::vector<Frame>& frames, std::mt19937& random) {
  const std::size_t place = random() % frames.size();
  Frame& frame = frames[place];
  switch (random() % 9) {
    case 0:
      frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(place));
      break;
    case 1:
      frames.push_back(frame);
      break;
    case 2:
      std::swap(frame, frames[random() % frames.size()]);
      break;
    case 3:
      frame.header.type = static_cast<FrameType>(random() % 5);
      frame.header.flags = static_cast<std::uint8_t>(random() % 9);
      break;
    case 4:
      frame.header.stream = static_cast<std::uint32_t>(random() % 16);
      break;
    case 5:
      frame.data = of_another_service(frame.data, random);
      break;
    default:
      frame.data = mutate_message(frame.data, random);
  }
}

std::string joined(const std::vector<Frame>& frames, bool renumber, std::mt19937& random) {
  std::string bytes;
  std::uint32_t stream = 1;
  for (const Frame& frame : frames) {
    FrameHeader header = frame.header;
    header.length = static_cast<std::uint32_t>(frame.data.size());
    if (renumber) header.stream = stream;
    if (random() % 64 == 0) header.length = static_cast<std::uint32_t>(random());
    stream += 2;
    append_frame_header(bytes, header);
    bytes += frame.data;
  }
  return bytes;
}

std::string mutated(std::string_view input, std::mt19937& random) {
  std::string ground(take(input, 1));
  if (!ground.empty() && random() % 16 == 0) ground[0] = static_cast<char>(random() % 32);
  std::vector<Frame> frames = frames_of(input);
  if (frames.empty() || random() % 16 == 0) {
    const std::string rest = joined(frames, false, random) + std::string(input);
    return ground + mutate_bytes(rest, random);
  }
  mutate_frames(frames, random);
  return ground + joined(frames, random() % 2 == 0, random) + std::string(input);
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  set_up_ground();
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  std::mt19937 random(seed);
  return give_back(mutated(text_of(data, size), random), data, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = text_of(data, size);
  const unsigned ground = take_byte(input);
  run(ground, input);
  return 0;
}
