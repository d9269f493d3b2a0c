// SPDX-License-Identifier: Apache-2.0
// Whole frames over a connected stream socket; the server's and the client's connections share it.
//
// Nothing here waits for the peer unasked: what the socket takes at once is written at once, the
// rest is held, and a coroutine exists only while something is held. How much may pile up is the
// owner's decision, who sees unsent() and can wait for it to fall. Between messages there is no
// buffer in either direction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "async/loop.h"
#include "base/fd.h"
#include "ttrpc/frame.h"

namespace google::protobuf {
class MessageLite;
}

namespace thinshim {

class Channel {
 public:
  Channel(Loop& loop, Fd socket);

  // The socket has data, has ended, or is broken. Not to be waited for once close() was called.
  Watch::Waiting readable() { return watch_->readable(); }
  // Hands the frames that have arrived to `consume`, and stops after a share of them so that others
  // get their turn: wait for readable() and call again. False once the peer has closed its sending
  // side or the socket is broken.
  bool receive(const std::function<void(Frame)>& consume);

  // Sends a frame whose data is `message`, kMaxFrameData bytes at most. A broken channel drops it.
  void send(std::uint32_t stream, FrameType type, const google::protobuf::MessageLite& message);
  // Returns once no more than `limit` bytes are unsent, or the channel is broken.
  Task<> wait_unsent(std::size_t limit);

  // Bytes that wait for the peer to read.
  std::size_t unsent() const { return output_.size() - sent_; }
  // Those, and what has arrived of an unfinished frame.
  std::size_t buffered() const { return unsent() + decoder_.buffered(); }
  bool broken() const { return broken_; }

  // Ends both directions; what is unsent is dropped, and receive() returns false.
  void fail();
  // No more is read; what is unsent still gets out.
  void stop_receiving();
  // As fail(), and closes the descriptor. Not to be called while somebody waits for readable().
  void close();

 private:
  void flush();
  Task<> write_out();

  Loop& loop_;
  Fd socket_;
  std::optional<Watch> watch_;
  FrameDecoder decoder_;
  std::string output_;
  std::size_t sent_ = 0;  // of output_
  bool broken_ = false;
  bool writing_ = false;    // write_out() is under way
  bool no_memory_ = false;  // the kernel had none for what was to be sent last
  Event progress_;          // bytes went out, or the channel broke
  TaskSet writer_;
};

}  // namespace thinshim
