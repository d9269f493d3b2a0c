// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/frame.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace thinshim {
namespace {

void append_big_endian(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

std::uint32_t read_big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// Appends to a string that will have `total` bytes, but reserves no more than has arrived times
// two.
void append_towards(std::string& out, std::string_view bytes, std::size_t total) {
  constexpr std::size_t kFirst = 64 << 10;
  std::size_t needed = out.size() + bytes.size();
  if (needed > out.capacity()) out.reserve(std::min(total, std::max(needed * 2, kFirst)));
  out.append(bytes);
}

}  // namespace

void append_frame_header(std::string& out, const FrameHeader& header) {
  append_big_endian(out, header.length);
  append_big_endian(out, header.stream);
  out.push_back(static_cast<char>(header.type));
  out.push_back(static_cast<char>(header.flags));
}

FrameHeader read_frame_header(std::string_view bytes) {
  return {read_big_endian(bytes), read_big_endian(bytes.substr(4)),
          static_cast<FrameType>(static_cast<unsigned char>(bytes[8])),
          static_cast<std::uint8_t>(bytes[9])};
}

std::optional<Frame> FrameDecoder::next(std::string_view& bytes) {
  std::size_t skipped = std::min(skip_, bytes.size());
  skip_ -= skipped;
  bytes.remove_prefix(skipped);

  if (header_size_ < kFrameHeaderSize) {
    std::size_t taken = std::min(kFrameHeaderSize - header_size_, bytes.size());
    std::memcpy(header_bytes_ + header_size_, bytes.data(), taken);
    header_size_ += taken;
    bytes.remove_prefix(taken);
    if (header_size_ < kFrameHeaderSize) return std::nullopt;
    header_ = read_frame_header({header_bytes_, kFrameHeaderSize});
    if (header_.length > kMaxFrameData) {
      skip_ = header_.length;
      header_size_ = 0;
      return Frame{header_, {}};
    }
  }

  std::size_t taken = std::min(header_.length - data_.size(), bytes.size());
  append_towards(data_, bytes.substr(0, taken), header_.length);
  bytes.remove_prefix(taken);
  if (data_.size() < header_.length) return std::nullopt;
  header_size_ = 0;
  return Frame{header_, std::exchange(data_, {})};
}

}  // namespace thinshim
