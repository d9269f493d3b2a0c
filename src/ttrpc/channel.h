// SPDX-License-Identifier: Apache-2.0
// Sends and receives whole frames over a connected stream socket, for the server and the client.
//
// send() never waits: it writes what the socket accepts and queues the rest, and a coroutine exists
// only while something is queued. The owner bounds the queue, by unsent() and wait_unsent().
// Between messages no buffer is held in either direction.
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

  // The socket has data, was closed by the peer, or is broken. Not to be called after close().
  Watch::Waiting readable() { return watch_->readable(); }
  // Passes the frames that have arrived to `consume`, up to a limit, so that other connections get
  // their turn: wait for readable() and call again. False once the peer has closed its sending side
  // or the socket is broken.
  bool receive(const std::function<void(Frame)>& consume);

  // Sends a frame whose data is `message`, kMaxFrameData bytes at most. Ignored if broken.
  void send(std::uint32_t stream, FrameType type, const google::protobuf::MessageLite& message);
  // Returns once no more than `limit` bytes are unsent, or the channel is broken.
  Task<> wait_unsent(std::size_t limit);

  // Bytes queued until the peer reads.
  std::size_t unsent() const { return output_.size() - sent_; }
  // unsent(), and the bytes of an incomplete frame that has arrived.
  std::size_t buffered() const { return unsent() + decoder_.buffered(); }
  bool broken() const { return broken_; }

  // Shuts down both directions; unsent bytes are dropped, and receive() returns false.
  void fail();
  // Shuts down receiving; unsent bytes are still sent.
  void stop_receiving();
  // fail(), and closes the descriptor. Not to be called while a coroutine waits for readable().
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
  bool writing_ = false;    // write_out() is running
  bool no_memory_ = false;  // the last send(2) failed with ENOBUFS or ENOMEM
  Event progress_;          // bytes were sent, or the channel broke
  TaskSet writer_;
};

}  // namespace thinshim
