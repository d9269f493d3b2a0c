// SPDX-License-Identifier: Apache-2.0
// Moves bytes from one descriptor to another until the first ends, inside the kernel (splice) where
// both ends allow it.
//
// A pipe to a fifo is spliced. Terminals and what was opened for appending are not spliceable
// (EINVAL, splice(2)); there bytes are read and written, and what a write did not take is kept for
// the next. Regular files are not for pumps, for writing to them blocks (stdio/log_file.h).
//
// Pipes and fifos begin as the kernel makes them (64 KiB) and grow once, when the sink is full for
// the first time: most never are, and the room for a megabyte costs the kernel 16 kB of each pipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "async/loop.h"

namespace thinshim {

// How much a pipe, a fifo or a terminal holds, in bytes.
std::size_t bytes_in(int fd);

class Pump {
 public:
  // What to do when the sink takes no more, for nobody comes back to a pipe whose last reader has
  // gone: a log that is none must not stop the container (containerd issue 12462), so output goes
  // on being read and is dropped. Input has nobody left to read it.
  enum class BrokenSink { drop, stop };

  // One of the two; `watch`, where it has one already: there is one watch per descriptor, and a
  // terminal is one descriptor for both directions. Both must outlive the pump.
  struct End {
    End(int descriptor, Watch* its_watch = nullptr) : fd(descriptor), watch(its_watch) {}
    int fd;
    Watch* watch;
  };
  // Both descriptors become non-blocking. `name` is for the log ("stdout of c1"). Where the sink is
  // too slow, pipes grow to `pipe_size` bytes, as far as the kernel permits.
  Pump(Loop& loop, End source, End sink, BrokenSink broken_sink, std::string name,
       std::size_t pipe_size = 0);
  ~Pump();  // tells the log what was dropped
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  // Until the source ends (end of file; a terminal whose other side is closed for good), or a
  // broken sink stops it.
  Task<> run();
  // What the source holds now, and then no more. Takes over from a run() that was cancelled without
  // losing a byte.
  Task<> run_dry();
  // What the sink did not take yet, in bytes: what was read, and what the source holds.
  std::size_t on_its_way() const;

 private:
  enum class Step { moved, source_empty, sink_full, no_memory, ended };
  Task<> move(bool until_dry);
  Step step();
  Step splice_step();
  Step copy_step();
  Step sink_failed(int errnum);
  bool grow();

  Loop& loop_;
  int source_;
  int sink_;
  BrokenSink broken_sink_;
  std::string name_;
  std::size_t pipe_size_;
  bool spliceable_ = true;
  bool sink_broken_ = false;
  std::uint64_t dropped_ = 0;  // bytes
  std::size_t turn_ = 0;       // bytes since others had their turn
  std::string pending_;        // read, but not yet written
  std::optional<Watch> own_source_watch_;
  std::optional<Watch> own_sink_watch_;
  Watch* source_watch_;
  Watch* sink_watch_;  // none for /dev/null and its like, which are always ready
};

}  // namespace thinshim
