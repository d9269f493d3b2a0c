// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cctype>
#include <cerrno>
#include <cstring>

namespace thinshim {

Error Error::invalid_argument(const std::string& message) {
  return {Code::invalid_argument, message + ": invalid argument"};
}
Error Error::not_found(const std::string& message) {
  return {Code::not_found, message + ": not found"};
}
Error Error::already_exists(const std::string& message) {
  return {Code::already_exists, message + ": already exists"};
}
Error Error::permission_denied(const std::string& message) {
  return {Code::permission_denied, message + ": permission denied"};
}
Error Error::failed_precondition(const std::string& message) {
  return {Code::failed_precondition, message + ": failed precondition"};
}
Error Error::unimplemented(const std::string& message) {
  return {Code::unimplemented, message + ": not implemented"};
}
Error Error::unavailable(const std::string& message) {
  return {Code::unavailable, message + ": unavailable"};
}

std::string errno_text(int errnum) {
  char buffer[128];
  std::string text = strerror_r(errnum, buffer, sizeof buffer);  // the GNU variant
  // "RPC timed out" keeps its capitals, "No such file" does not.
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

void throw_errno(const std::string& context, int errnum) {
  throw Error(Code::unknown, context + ": " + errno_text(errnum), errnum);
}

void throw_errno(const std::string& context) { throw_errno(context, errno); }

}  // namespace thinshim
