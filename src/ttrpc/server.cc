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

// The pause after EMFILE, ENOMEM and the like.
constexpr Duration kAcceptPause(100);

bool is_same_user(int peer) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return false;
  if (credentials.uid == ::geteuid() && credentials.gid == ::getegid()) return true;
  log::warning("ttrpc: rejected a connection from another user",
               {{"pid", std::to_string(credentials.pid)},
                {"uid", std::to_string(credentials.uid)},
                {"gid", std::to_string(credentials.gid)}});
  return false;
}

// The errors of accept(2) that concern one peer, which has disconnected.
bool concerns_one_peer(int errnum) {
  return errnum == EAGAIN || errnum == EINTR || errnum == ECONNABORTED || errnum == EPROTO;
}
// The errors after which the server stops accepting. After any other it tries again.
bool is_listener_broken(int errnum) {
  return errnum == EBADF || errnum == EINVAL || errnum == ENOTSOCK || errnum == EOPNOTSUPP;
}

// Sets `place` to the listener, and to -1 when it is closed.
struct Listening {
  Listening(int& place, int fd) : place_(place) { place_ = fd; }
  ~Listening() { place_ = -1; }
  int& place_;
};

}  // namespace

void Server::add(const std::string& service, const std::string& method, Handler handler) {
  add_any(service, method, std::move(handler));
}

void Server::add_late(const std::string& service, const std::string& method, LateHandler handler) {
  add_any(service, method, std::move(handler));
}

void Server::add_any(const std::string& service, const std::string& method, AnyHandler handler) {
  if (!services_[service].emplace(method, std::move(handler)).second)
    throw std::logic_error("ttrpc: " + service + "/" + method + " added twice");
}

Task<> Server::serve(Fd listener) {
  Watch watch(loop_, listener.get());
  Listening listening(listener_, listener.get());
  bool out_of_resources = false;
  while (!closed_) {
    co_await watch.readable();
    if (closed_) break;
    // One at a time, so that connected peers are served in between.
    Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const int errnum = errno;
    if (peer) {
      out_of_resources = false;
      adopt(std::move(peer));
    } else if (is_listener_broken(errnum)) {
      throw_errno("accept", errnum);
    } else if (!concerns_one_peer(errnum)) {
      if (!std::exchange(out_of_resources, true))
        log::error("ttrpc: failed to accept", {{"error", errno_text(errnum)}});
      co_await sleep(loop_, kAcceptPause);
    }
  }
}

void Server::adopt(Fd peer) {
  if (closed_ || !is_same_user(peer.get())) return;
  try {
    // Not make_shared(): a Reply that outlives the connection would keep its memory.
    connections_.emplace_back(new Connection(loop_, std::move(peer), services_));
    tasks_.spawn(run(std::prev(connections_.end())), "ttrpc connection");
  } catch (const Error& failure) {
    log::error("ttrpc: failed to serve a connection", {{"error", failure.what()}});
  }
}

Task<> Server::run(Connections::iterator connection) {
  std::exception_ptr failure;
  try {
    co_await (*connection)->run();
  } catch (...) {
    failure = std::current_exception();
  }
  connections_.erase(connection);
  release_unused_memory();  // unsent replies may have taken megabytes
  if (connections_.empty() && on_last_disconnect_) on_last_disconnect_();
  if (failure) std::rethrow_exception(failure);
}

bool Server::has_pending_peer() const {
  pollfd listener = {listener_, POLLIN, 0};
  return listener_ >= 0 && ::poll(&listener, 1, 0) > 0;
}

void Server::stop_accepting() {
  closed_ = true;
  if (listener_ >= 0) ::shutdown(listener_, SHUT_RDWR);  // wakes serve(); Linux refuses new peers
}

Task<> Server::drain(Duration limit) {
  stop_accepting();
  for (const auto& connection : connections_) connection->finish();
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
  for (const auto& connection : connections_) sum += connection->in_flight();
  return sum;
}

std::size_t Server::buffered() const {
  std::size_t sum = 0;
  for (const auto& connection : connections_) sum += connection->buffered();
  return sum;
}

}  // namespace thinshim
