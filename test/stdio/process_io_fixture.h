// SPDX-License-Identifier: Apache-2.0
// The streams of a process that the test simulates.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "loggers_fixture.h"
#include "stdio/process_io.h"

namespace thinshim::test {

class ProcessIoTest : public LoggersTest {
 protected:
  void make_io(const Streams& streams, uid_t uid = 0, gid_t gid = 0) {
    ProcessIo::Settings settings{dir_.path(), "c1", uid, gid, options_, &*loggers_, "c1"};
    io_ = std::make_unique<ProcessIo>(loop_, streams, settings);
  }
  // Starts the loggers, copies the descriptors as the runtime does, and attaches.
  void start() {
    run(io_->start_loggers());
    std::vector<int> fds = io_->runtime_fds();
    Fd* ends[] = {&in_, &out_, &err_};
    for (std::size_t i = 0; i < 3; ++i)
      if (fds[i] >= 0) *ends[i] = Fd(check(::fcntl(fds[i], F_DUPFD_CLOEXEC, 0), "dup"));
    run(io_->attach());
  }
  void start(const Streams& streams) {
    make_io(streams);
    start();
  }
  void process_ends() {
    in_.reset();
    out_.reset();
    err_.reset();
    io_->process_exited();
  }
  void finish(Duration limit = kTestTimeout) { run(io_->finish(limit)); }
  std::string failure(const Streams& streams) {
    try {
      make_io(streams);
      run(io_->start_loggers());
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  void streams_gone() override {
    io_.reset();
    in_.reset();
    out_.reset();
    err_.reset();
  }

  std::unique_ptr<ProcessIo> io_;
  Fd in_, out_, err_;  // the process's
};

}  // namespace thinshim::test
