// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

namespace thinshim {
namespace {

// How long to wait for descriptors or memory to become free again.
constexpr Duration kAcceptPause(100);

bool is_one_of_us(int peer) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return false;
  if (credentials.uid == ::geteuid() && credentials.gid == ::getegid()) return true;
  log::warning("ttrpc: refused a peer of another user", {{"pid", std::to_string(credentials.pid)},
                                                         {"uid", std::to_string(credentials.uid)},
                                                         {"gid", std::to_string(credentials.gid)}});
  return false;
}

// The failures of accept(2) that concern one peer, who is gone again.
bool concerns_one_peer(int errnum) {
  return errnum == EAGAIN || errnum == EINTR || errnum == ECONNABORTED || errnum == EPROTO;
}
// All others but these pass: a shim that lives must not give up its socket.
bool is_no_listener(int errnum) {
  return errnum == EBADF || errnum == EINVAL || errnum == ENOTSOCK || errnum == EOPNOTSUPP;
}

// Names the listener in use for as long as it exists.
struct Listening {
  Listening(int& place, int fd) : place_(place) { place_ = fd; }
  ~Listening() { place_ = -1; }
  int& place_;
};

}  // namespace

void Server::add(const std::string& service, const std::string& method, Handler handler) {
  if (!services_[service].emplace(method, std::move(handler)).second)
    throw std::logic_error("ttrpc: " + service + "/" + method + " is added twice");
}

Task<> Server::serve(Fd listener) {
  Watch watch(loop_, listener.get());
  Listening listening(listener_, listener.get());
  bool short_of_something = false;
  while (!closed_) {
    co_await watch.readable();
    if (closed_) break;
    // One at a time: those who are connected get their turn in between.
    Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const int errnum = errno;
    if (peer) {
      short_of_something = false;
      adopt(std::move(peer));
    } else if (is_no_listener(errnum)) {
      throw_errno("accept", errnum);
    } else if (!concerns_one_peer(errnum)) {
      if (!std::exchange(short_of_something, true))
        log::error("ttrpc: cannot accept", {{"error", errno_text(errnum)}});
      co_await sleep(loop_, kAcceptPause);
    }
  }
}

void Server::adopt(Fd peer) {
  if (closed_ || !is_one_of_us(peer.get())) return;
  try {
    connections_.emplace_back(loop_, std::move(peer), services_);
    tasks_.spawn(run(std::prev(connections_.end())), "ttrpc connection");
  } catch (const Error& failure) {
    log::error("ttrpc: cannot serve a peer", {{"error", failure.what()}});
  }
}

Task<> Server::run(std::list<Connection>::iterator connection) {
  std::exception_ptr failure;
  try {
    co_await connection->run();
  } catch (...) {
    failure = std::current_exception();
  }
  connections_.erase(connection);
  release_unused_memory();  // there may be megabytes that it did not read
  if (connections_.empty() && alone_) alone_();
  if (failure) std::rethrow_exception(failure);
}

bool Server::is_called() const {
  pollfd listener = {listener_, POLLIN, 0};
  return listener_ >= 0 && ::poll(&listener, 1, 0) > 0;
}

void Server::stop_accepting() {
  closed_ = true;
  if (listener_ >= 0) ::shutdown(listener_, SHUT_RDWR);  // wakes serve(); Linux refuses new peers
}

Task<> Server::drain(Duration limit) {
  stop_accepting();
  for (Connection& connection : connections_) connection.finish();
  Task<> everyone = tasks_.wait_empty();
  co_await within(loop_, limit, std::move(everyone));
  close();
}

void Server::close() {
  stop_accepting();
  tasks_.cancel();
  connections_.clear();
}

std::size_t Server::requests_in_flight() const {
  std::size_t sum = 0;
  for (const Connection& connection : connections_) sum += connection.in_flight();
  return sum;
}

std::size_t Server::buffered() const {
  std::size_t sum = 0;
  for (const Connection& connection : connections_) sum += connection.buffered();
  return sum;
}

}  // namespace thinshim
