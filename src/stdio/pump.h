// SPDX-License-Identifier: Apache-2.0
// Copies bytes from one descriptor to another until end of file, with splice(2) if both support it.
//
// A pipe and a fifo can be spliced. Terminals and files opened with O_APPEND cannot (EINVAL,
// splice(2)): the pump reads and writes, and keeps the rest of a partial write. A regular file must
// not be the sink, because writing to it blocks (stdio/log_file.h).
//
// Pipes and fifos have the kernel's default size (64 KiB), and grow once, when the sink is full for
// the first time: most are never full, and a pipe of 1 MiB costs 16 kB of kernel memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "async/loop.h"

namespace thinshim {

// The number of bytes that can be read from a pipe, a fifo or a terminal (FIONREAD); 0 on error.
std::size_t bytes_in(int fd);

class Pump {
 public:
  // What to do when a write fails (EPIPE, for example). `drop`, for output: go on reading and drop
  // the data, because a broken log must not block the container (containerd issue 12462). `stop`,
  // for input: its reader has closed it.
  enum class BrokenSink { drop, stop };

  // The source or the sink. `watch`: the descriptor's watch if there is one already (one watch per
  // descriptor; a terminal is one descriptor for both directions). Both must outlive the pump.
  struct End {
    End(int descriptor, Watch* its_watch = nullptr) : fd(descriptor), watch(its_watch) {}
    int fd;
    Watch* watch;
  };
  // Both descriptors become non-blocking. `name` is for the log ("stdout of c1"). If the sink is
  // slow, pipes grow to `pipe_size` bytes if the kernel permits; 0: they do not grow.
  Pump(Loop& loop, End source, End sink, BrokenSink broken_sink, std::string name,
       std::size_t pipe_size = 0);
  ~Pump();  // logs how many bytes were dropped
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  // Copies until the source is at end of file (a terminal: EIO), or a broken sink stops it.
  Task<> run();
  // Copies until the source is empty or at end of file. May follow a run() that was cancelled; no
  // byte is lost then.
  Task<> drain();
  // Bytes not yet written to the sink: those already read, and those in the source.
  std::size_t unwritten_bytes() const;

 private:
  enum class Step { moved, source_empty, sink_full, no_memory, ended };
  Task<> copy(bool until_empty);
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
  std::size_t turn_ = 0;       // bytes since the last yield to other tasks
  std::string pending_;        // read, but not yet written
  std::optional<Watch> own_source_watch_;
  std::optional<Watch> own_sink_watch_;
  Watch* source_watch_;
  Watch* sink_watch_;  // null for /dev/null and similar devices, which never block
};

}  // namespace thinshim
