// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/eventually.h"

namespace thinshim::test {

// The path of a program that is built with the tests, by its path below test/: "support/runc".
std::filesystem::path built_program(const std::string& name);

// The result of a program. `exit_code` is 128 + signal if a signal killed it, as in a shell.
struct Outcome {
  int exit_code = -1;
  bool timed_out = false;  // it was killed after the timeout
  std::string out;
  std::string err;

  bool ok() const { return exit_code == 0 && !timed_out; }
};

// For the messages of failed expectations: `EXPECT_TRUE(outcome.ok()) << outcome`.
std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

struct SubprocessOptions {
  std::string input;                     // its stdin
  bool keep_input_open = false;          // no end of file before close_input()
  std::filesystem::path directory = {};  // working directory; empty: the caller's
  std::filesystem::path log =
      {};  // a file that stdout and stderr are appended to, instead of pipes
  std::vector<std::string> environment;  // NAME=value, on top of the caller's
};

// A program that runs beside the test. The destructor sends SIGKILL and waits for its exit.
class Subprocess {
 public:
  // argv[0] is looked up in PATH. Throws std::system_error when it can't be started.
  explicit Subprocess(std::vector<std::string> argv, SubprocessOptions options = {});
  ~Subprocess();
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number);
  void write(const std::string& text);
  void close_input();  // after all input was written

  // Reads until its output contains `text`; false if it exits before, or after the timeout.
  bool wait_for_output(const std::string& text, Duration limit = kTestTimeout);
  const std::string& output() const { return out_; }

  // Waits for its exit; kills it after the timeout.
  Outcome wait(Duration limit = kTestTimeout);
  bool has_ended();

 private:
  void pump(Duration limit);
  void write_pending();
  bool read_from(int& fd, std::string& text);

  pid_t pid_ = -1;
  int pidfd_ = -1;
  int in_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  std::string pending_input_;
  bool keep_input_open_ = true;
  std::string out_;
  std::string err_;
  std::optional<int> status_;  // as from waitpid(2)
};

// Runs it and waits for its exit.
Outcome run(std::vector<std::string> argv, SubprocessOptions options = {},
            Duration limit = kTestTimeout);

}  // namespace thinshim::test
