// SPDX-License-Identifier: Apache-2.0
// A failure with a gRPC status code and the text that the client sees.
//
// Errors are caught in three places only (RPC dispatch, TaskSet, main). An outcome that the direct
// caller handles is a return value instead. Texts keep the wording of containerd's errdefs, because
// containerd and its clients match on it: the class ("not found") is at the end, after a colon.
#pragma once

#include <stdexcept>
#include <string>

namespace thinshim {

// Numbers of google.rpc.Code, which ttrpc carries.
enum class Code : int {
  ok = 0,
  canceled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
};

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  // A failed system call: `errnum` is its errno.
  Error(Code code, const std::string& message, int errnum)
      : std::runtime_error(message), code_(code), errnum_(errnum) {}

  Code code() const { return code_; }
  // The errno of the failed system call; 0 for other failures.
  int errnum() const { return errnum_; }

  // A failure that belongs to none of the classes below.
  static Error unknown(const std::string& message) { return {Code::unknown, message}; }
  // The classes of containerd's errdefs; each appends its name to the message.
  static Error invalid_argument(const std::string& message);
  static Error not_found(const std::string& message);
  static Error already_exists(const std::string& message);
  static Error permission_denied(const std::string& message);
  static Error failed_precondition(const std::string& message);
  static Error unimplemented(const std::string& message);
  static Error unavailable(const std::string& message);

  // The same failure with "context: " in front of the message.
  Error in(const std::string& context) const { return {code_, context + ": " + what(), errnum_}; }

 private:
  Code code_;
  int errnum_ = 0;
};

// strerror(3), beginning in lower case as in Go ("no such file or directory").
std::string errno_text(int errnum);

// Throws Error{unknown, "context: errno_text"}.
[[noreturn]] void throw_errno(const std::string& context);
[[noreturn]] void throw_errno(const std::string& context, int errnum);

// Returns the result of a system call; throws Error if it is -1.
template <class Result>
Result check(Result result, const char* context) {
  if (result == static_cast<Result>(-1)) throw_errno(context);
  return result;
}

}  // namespace thinshim
