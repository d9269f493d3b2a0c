// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace thinshim::test {

inline sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw Error::invalid_argument(path + " is too long");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// A listening socket.
inline Fd listen_at(const std::string& path, int backlog = SOMAXCONN) {
  const sockaddr_un address = unix_address(path);
  Fd listener(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  check(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
        "bind");
  check(::listen(listener.get(), backlog), "listen");
  return listener;
}

}  // namespace thinshim::test
