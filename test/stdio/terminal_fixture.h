// SPDX-License-Identifier: Apache-2.0
// A process with a terminal, simulated or real, and its client.
#pragma once

#include <poll.h>

#include <memory>
#include <optional>
#include <string>

#include "fake_runtime.h"
#include "loggers_fixture.h"
#include "stdio/process_io.h"

namespace thinshim::test {

class TerminalTest : public LoggersTest {
 protected:
  void make_io(bool with_output = true) {
    if (streams_.in.empty()) {
      streams_ = {make_fifo("in"), make_fifo("out"), "", true};
      client_in_ = open_writer_and_reader(streams_.in);
      client_out_ = open_reader(streams_.out);
    }
    Streams streams = streams_;
    if (!with_output) streams.out.clear();
    ProcessIo::Settings settings{dir_.path(), "c1", 0, 0, options_, &*loggers_, "c1"};
    io_ = std::make_unique<ProcessIo>(loop_, streams, settings);
  }
  // The test simulates the process: it holds the slave.
  void start(bool with_output = true) {
    make_io(with_output);
    terminal_ = hand_over_terminal(io_->console_socket().value());
    make_raw(terminal_.slave);
    attach();
  }
  // A real process, whose controlling terminal it is.
  void run_process(const std::string& script) {
    make_io();
    process_.emplace(io_->console_socket().value(), script);
    attach();
  }
  void attach() {
    run(io_->start_loggers());
    run(io_->attach());
    // The client opens only its own end of the fifo.
    client_in_ = open_writer(streams_.in);
  }
  void wait_for_exit() {
    run(process_->exited(loop_));
    io_->process_exited();
  }
  // Writes to the terminal until a little does not fit into the client's fifo; returns all of it.
  std::string fill_fifo() {
    const std::string text = pattern(200'000);
    std::size_t written = 0;
    const auto fits = [&](std::size_t size) {
      write(terminal_.slave, text.substr(written, size));
      written += size;
      const auto has_arrived = [&] {
        return unread(client_out_.get()) == static_cast<int>(written);
      };
      EXPECT_TRUE(eventually([&] { return has_arrived() || !has_a_free_page(streams_.out); }));
      return eventually(has_arrived, 1s);
    };
    EXPECT_TRUE(fits(50'000));
    while (fits(100)) {
    }
    return text.substr(0, written);
  }
  // Otherwise the fifo may have a little room left.
  static bool has_a_free_page(const std::string& fifo) {
    Fd writer = open_writer(fifo);
    pollfd waiting{writer.get(), POLLOUT, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }
  void finish(Duration limit = kTestTimeout) { run(io_->finish(limit)); }
  std::string attach_failure() {
    try {
      run(io_->attach());
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  void streams_gone() override {
    io_.reset();
    process_.reset();
    terminal_ = {};
    client_in_.reset();
    client_out_.reset();
  }
  // Opening the write end of a fifo needs a reader; the shim has not opened it yet.
  static Fd open_writer_and_reader(const std::string& fifo) {
    return open_file(fifo, O_RDWR | O_NONBLOCK);
  }

  Streams streams_;
  std::unique_ptr<ProcessIo> io_;
  TerminalPair terminal_;
  std::optional<TerminalProcess> process_;
  Fd client_in_, client_out_;
};

}  // namespace thinshim::test
