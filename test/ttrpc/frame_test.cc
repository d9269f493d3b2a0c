// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/frame.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace thinshim {
namespace {

using namespace std::string_literals;

const FrameType kRequest = FrameType::request;
const FrameType kResponse = FrameType::response;
const FrameType kData = FrameType::data;

TEST(FrameHeader, IsTenBytesBigEndian) {
  struct {
    FrameHeader header;
    std::string bytes;
  } const kTable[] = {
      {{0, 1, kRequest, 0}, "\0\0\0\0\0\0\0\1\1\0"s},
      {{5, 3, kResponse, 0}, "\0\0\0\5\0\0\0\3\2\0"s},
      {{0, 0x01020304, kData, kRemoteClosed | kNoData}, "\0\0\0\0\1\2\3\4\3\5"s},
      {{4 << 20, 0xfffffffd, kRequest, kRemoteOpen}, "\0\x40\0\0\xff\xff\xff\xfd\1\2"s},
      {{0xffffffff, 0, FrameType{0xff}, 0xff}, "\xff\xff\xff\xff\0\0\0\0\xff\xff"s},
      {{0x80000080, 0x80, FrameType{0}, 0x80}, "\x80\0\0\x80\0\0\0\x80\0\x80"s},
  };
  for (const auto& row : kTable) {
    std::string bytes;
    append_frame_header(bytes, row.header);
    EXPECT_EQ(bytes, row.bytes);
    EXPECT_EQ(read_frame_header(row.bytes), row.header);
  }
}

// "stream/type/flags:data", or "stream too long: length".
std::string describe(const Frame& frame) {
  const FrameHeader& header = frame.header;
  if (frame.oversized())
    return std::to_string(header.stream) + " too long: " + std::to_string(header.length);
  return std::to_string(header.stream) + "/" + std::to_string(static_cast<int>(header.type)) + "/" +
         std::to_string(header.flags) + ":" + frame.data;
}

std::vector<std::string> decode(const std::string& bytes, std::size_t step) {
  FrameDecoder decoder;
  std::vector<std::string> frames;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    std::string_view piece = std::string_view(bytes).substr(i, step);
    while (std::optional<Frame> frame = decoder.next(piece)) frames.push_back(describe(*frame));
    EXPECT_TRUE(piece.empty());
  }
  return frames;
}

using Texts = std::vector<std::string>;

TEST(FrameDecoder, FindsTheFramesHoweverTheBytesArrive) {
  const std::string too_long = "\0\x40\0\1\0\0\0\7\1\0"s + std::string((4 << 20) + 1, 'z');
  struct {
    std::string bytes;
    Texts frames;
  } const kTable[] = {
      {"", {}},
      {"\0\0\0\0\0\0\0\1\1\0"s, {"1/1/0:"}},
      {"\0\0\0\3\0\0\0\1\1\0abc"s, {"1/1/0:abc"}},
      {"\0\0\0\3\0\0\0\1\1\0ab"s, {}},
      {"\0\0\0\3\0\0\0\1\1"s, {}},
      {"\0\0\0\1\0\0\0\1\1\0x\0\0\0\0\0\0\0\3\3\5\0\0\0\2\0\0\0\2\x09\0yz"s,
       {"1/1/0:x", "3/3/5:", "2/9/0:yz"}},
      {too_long, {"7 too long: 4194305"}},
      {too_long + "\0\0\0\3\0\0\0\1\1\0abc"s, {"7 too long: 4194305", "1/1/0:abc"}},
      {too_long + too_long + "\0\0\0\0\0\0\0\1\1\0"s,
       {"7 too long: 4194305", "7 too long: 4194305", "1/1/0:"}},
  };
  for (const auto& row : kTable)
    for (std::size_t step : {1, 2, 3, 7, 10, 11, 4096, 1 << 24}) {
      if (row.bytes.size() > 100000 && step < 7) continue;
      EXPECT_EQ(decode(row.bytes, step), row.frames) << "in pieces of " << step;
    }
}

TEST(FrameDecoder, TakesExactlyFourMebibytes) {
  FrameDecoder decoder;
  std::string bytes = "\0\x40\0\0\0\0\0\1\1\0"s + std::string(4 << 20, 'a');
  std::string_view view = bytes;
  std::optional<Frame> frame = decoder.next(view);
  ASSERT_TRUE(frame);
  EXPECT_FALSE(frame->oversized());
  EXPECT_EQ(frame->data.size(), 4u << 20);
}

TEST(FrameDecoder, ReportsAnOversizedFrameBeforeItsDataAndStoresNoneOfIt) {
  FrameDecoder decoder;
  std::string header = "\xff\xff\xff\xff\0\0\0\x0b\1\0"s;
  std::string_view view = header;
  std::optional<Frame> frame = decoder.next(view);
  ASSERT_TRUE(frame);
  EXPECT_TRUE(frame->oversized());
  EXPECT_EQ(frame->header.stream, 11u);
  EXPECT_EQ(frame->header.length, 0xffffffffu);

  const std::string piece(1 << 20, 'z');
  for (std::uint64_t left = 0xffffffff; left > 0;) {
    view = std::string_view(piece).substr(0, std::min<std::uint64_t>(left, piece.size()));
    left -= view.size();
    ASSERT_FALSE(decoder.next(view));
    ASSERT_EQ(decoder.buffered(), 0u);
  }
  std::string after = "\0\0\0\0\0\0\0\x0d\1\0"s;
  view = after;
  frame = decoder.next(view);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->header.stream, 13u);
}

TEST(FrameDecoder, HoldsOnlyWhatHasArrivedAndNothingBetweenFrames) {
  FrameDecoder decoder;
  std::string bytes = "\0\x3f\xff\xff\0\0\0\1\1\0abc"s;
  std::string_view view = bytes;
  EXPECT_FALSE(decoder.next(view));
  EXPECT_EQ(decoder.buffered(), 13u);
  std::string rest((4 << 20) - 1 - 3, 'r');
  view = rest;
  ASSERT_TRUE(decoder.next(view));
  EXPECT_EQ(decoder.buffered(), 0u);
}

TEST(FrameDecoder, TakesAnyBytesWithoutHoldingMoreThanOneFrame) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    FrameDecoder decoder;
    std::string bytes(20000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    // Half of the seeds get lengths that are small enough for many frames.
    if (seed % 2)
      for (std::size_t i = 0; i + 4 < bytes.size(); i += 1 + random() % 20)
        bytes[i] = bytes[i + 1] = bytes[i + 2] = 0;
    std::string_view rest = bytes;
    while (!rest.empty()) {
      std::string_view piece = rest.substr(0, 1 + random() % 100);
      rest.remove_prefix(piece.size());
      while (decoder.next(piece)) {
      }
      ASSERT_TRUE(piece.empty());
      ASSERT_LE(decoder.buffered(), kFrameHeaderSize + kMaxFrameData);
    }
  }
}

}  // namespace
}  // namespace thinshim
