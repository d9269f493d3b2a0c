// SPDX-License-Identifier: Apache-2.0
// A pump with its source and sink.
#pragma once

#include <memory>
#include <string>

#include "async/sync.h"
#include "stdio/pump.h"
#include "stdio_fixture.h"

namespace thinshim::test {

class PumpTest : public StdioTest {
 protected:
  // Starts a pump and takes ownership of both descriptors.
  void pump(Fd source, Fd sink, Pump::BrokenSink broken_sink = Pump::BrokenSink::drop) {
    source_ = std::move(source);
    sink_ = std::move(sink);
    pump_ = std::make_unique<Pump>(loop_, source_.get(), sink_.get(), broken_sink, "stdout of c1");
    tasks_.spawn(pump_->run(), "pump");
  }
  bool ended() const { return tasks_.empty(); }
  void wait_for_end() { run(tasks_.wait_empty()); }
  void close_sink() {
    pump_.reset();
    sink_.reset();
  }
  void streams_gone() override {
    tasks_.cancel();
    pump_.reset();
    source_.reset();
    sink_.reset();
  }

  Fd source_, sink_;
  std::unique_ptr<Pump> pump_;
  TaskSet tasks_;
};

inline Fd fifo_sink(const std::string& path) { return open_file(path, O_WRONLY | O_NONBLOCK); }

}  // namespace thinshim::test
