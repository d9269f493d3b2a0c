// SPDX-License-Identifier: Apache-2.0
// ttrpc's wire format: https://github.com/containerd/ttrpc, PROTOCOL.md.
//
// A frame is a header of ten bytes, all big-endian, and `length` bytes of data:
//
//     length:32  stream:32  type:8  flags:8  data
//
// Streams that a client opens have odd numbers. A request frame carries a ttrpc.Request, a response
// frame a ttrpc.Response; unknown types must be ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thinshim {

inline constexpr std::size_t kFrameHeaderSize = 10;
inline constexpr std::size_t kMaxFrameData = 4u << 20;  // bytes

// A received frame may have any value.
enum class FrameType : std::uint8_t { request = 1, response = 2, data = 3 };

inline constexpr std::uint8_t kRemoteClosed = 1;  // the sender sends no more on the stream
inline constexpr std::uint8_t kRemoteOpen = 2;    // the sender will send data on the stream
inline constexpr std::uint8_t kNoData = 4;        // not even an empty message

struct FrameHeader {
  std::uint32_t length = 0;  // of the data alone
  std::uint32_t stream = 0;
  FrameType type{};
  std::uint8_t flags = 0;

  bool operator==(const FrameHeader&) const = default;
};

void append_frame_header(std::string& out, const FrameHeader& header);
// `bytes` must have kFrameHeaderSize bytes.
FrameHeader read_frame_header(std::string_view bytes);

struct Frame {
  FrameHeader header;
  std::string data;  // header.length bytes; empty if the frame is oversized
  bool oversized() const { return header.length > kMaxFrameData; }
};

// Splits a byte stream into frames. An oversized frame is returned as soon as its header has
// arrived, and its data is skipped. Memory grows with the bytes that have arrived, not with the
// length in a header; none is held between frames.
class FrameDecoder {
 public:
  // Removes bytes from the front of `bytes` until a frame is complete. Returns nothing if all were
  // removed and more are needed.
  std::optional<Frame> next(std::string_view& bytes);
  // Bytes held of an incomplete frame.
  std::size_t buffered() const { return header_size_ + data_.size(); }

 private:
  char header_bytes_[kFrameHeaderSize];
  std::size_t header_size_ = 0;
  FrameHeader header_;
  std::string data_;
  std::size_t skip_ = 0;
};

}  // namespace thinshim
