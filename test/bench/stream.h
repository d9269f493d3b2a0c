// SPDX-License-Identifier: Apache-2.0
// The reading end of a container's stdout: a thread that discards everything as fast as possible,
// by splice to /dev/null, which copies nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <string>
#include <thread>

#include "base/fd.h"
#include "bench/shim.h"

namespace thinshim::bench {

class StreamReader {
 public:
  // Creates the fifo, and one for stderr that must stay empty, and opens them for reading, as
  // clients of containerd do before Create.
  explicit StreamReader(const std::string& path);
  ~StreamReader();
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  // A terminal has no stderr.
  Stdio stdio(bool terminal = false) const {
    return {path_, terminal ? "" : error_path(), terminal};
  }
  std::uint64_t bytes() const { return bytes_; }
  // Waits for the end of the stream; throws Error after a timeout.
  void finish();
  // The times of the first byte and of the end of the stream, on the steady clock; after finish().
  double first() const { return first_; }
  double last() const { return last_; }

 private:
  std::string error_path() const { return path_ + "-error"; }
  void read();

  std::string path_;
  Fd fifo_;
  Fd error_fifo_;
  Fd null_;
  std::atomic<std::uint64_t> bytes_ = 0;
  double first_ = 0;
  double last_ = 0;
  std::promise<void> ended_;
  std::thread thread_;
};

}  // namespace thinshim::bench
