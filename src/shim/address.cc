// SPDX-License-Identifier: Apache-2.0
#include "shim/address.h"

#include <fcntl.h>
#include <sha2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/text.h"

namespace thinshim {
namespace {

// Go's filepath.Clean.
std::string clean(const std::string& path) {
  std::vector<std::string> parts;
  bool rooted = !path.empty() && path[0] == '/';
  for (std::size_t begin = 0; begin < path.size();) {
    std::size_t end = path.find('/', begin);
    if (end == std::string::npos) end = path.size();
    std::string part = path.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != ".." || (parts.empty() ? !rooted : parts.back() == "..")) {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string result = rooted ? "/" : "";
  for (std::size_t i = 0; i < parts.size(); ++i) result += (i ? "/" : "") + parts[i];
  return result.empty() ? "." : result;
}

sockaddr_un address_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw Error::invalid_argument("\"" + path + "\": unix socket path too long (> 107)");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Fd unix_socket() {
  return Fd(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                  "create unix socket"));
}

// The offset of the byte that is locked for a socket. There are some 10^18: if two names share one,
// their processes only wait for each other.
off_t lock_offset(std::string_view name) {
  char hex[SHA256_DIGEST_STRING_LENGTH];
  SHA256Data(reinterpret_cast<const std::uint8_t*>(name.data()), name.size(), hex);
  hex[15] = '\0';
  return static_cast<off_t>(std::strtoull(hex, nullptr, 16));
}

}  // namespace

std::string socket_path(const std::string& directory, const std::string& grpc_address,
                        const std::string& containerd_namespace, const std::string& group) {
  std::string joined;
  for (const std::string* part : {&grpc_address, &containerd_namespace, &group}) {
    if (part->empty()) continue;  // as Go's Join leaves out empty elements
    if (!joined.empty()) joined += '/';
    joined += *part;
  }
  std::string name = joined.empty() ? "" : clean(joined);
  char hex[SHA256_DIGEST_STRING_LENGTH];
  SHA256Data(reinterpret_cast<const std::uint8_t*>(name.data()), name.size(), hex);
  return join_path(directory.empty() ? kSocketDirectory : directory, hex);
}

std::optional<std::string> path_of_address(const std::string& address) {
  constexpr std::string_view kScheme = "unix://";
  if (address.compare(0, kScheme.size(), kScheme) != 0) return std::nullopt;
  return address.substr(kScheme.size());
}

std::string address_of_path(const std::string& path) { return "unix://" + path; }

SocketLock::SocketLock(const std::string& path, std::chrono::milliseconds timeout) {
  const std::string directory = directory_of(path);
  make_directories(directory, 0700);
  const std::string name = join_path(directory, ".lock");
  file_ = open_file(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = lock_offset(base_name(path));
  range.l_len = 1;
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (::fcntl(file_.get(), F_OFD_SETLK, &range) < 0) {
    if (errno != EAGAIN && errno != EACCES) throw_errno("lock " + name);
    if (std::chrono::steady_clock::now() >= end)
      throw Error(Code::deadline_exceeded, "lock " + path + ": timed out after " +
                                               std::to_string(timeout.count()) +
                                               "ms: another start or delete holds it");
    ::usleep(1000);  // F_OFD_SETLKW has no timeout
  }
}

Fd bind_socket(const std::string& path) {
  sockaddr_un address = address_to(path);
  Fd socket = unix_socket();
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    throw_errno("listen unix " + path);
  if (::chmod(path.c_str(), 0600) < 0) {  // no client can connect before listen(2)
    int errnum = errno;
    ::unlink(path.c_str());
    throw_errno("chmod " + path, errnum);
  }
  return socket;
}

bool is_not_socket(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode);
}

namespace {

Error failure_to(const std::string& what) {
  return Error(Code::unknown, what + ": " + errno_text(errno), errno);
}

// Returns the failure, if any. It has an errnum() only if connect(2) failed: that of socket(2) says
// nothing about the listener.
std::optional<Error> connect_to(const sockaddr_un& address, Fd& socket) {
  socket = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::unknown("create unix socket: " + errno_text(errno));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return failure_to("connect to " + std::string(address.sun_path));
  return std::nullopt;
}

}  // namespace

Delivery send_to_socket(const std::string& path, std::string_view bytes) {
  const sockaddr_un address = address_to(path);
  Fd socket;
  std::optional<Error> failure = connect_to(address, socket);
  if (!failure && ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    failure = failure_to("send to " + path);
  if (!failure) return Delivery::done;
  switch (failure->errnum()) {
    case EAGAIN:
      return Delivery::done;  // a shim whose backlog is full is not about to exit
    case ECONNREFUSED:
      return Delivery::refused;
    case ENOENT:
    case EPIPE:
    case ECONNRESET:
      return Delivery::lost;
    default:
      throw *failure;
  }
}

Probe probe_socket(const std::string& path) {
  const sockaddr_un address = address_to(path);
  // After the process that called listen(2) is gone, another may hold the socket: for a moment a
  // child of a dead thinshim before its execve(2); for good a stock shim, which inherited it.
  for (useconds_t pause = 5000;; pause *= 2) {
    Fd socket;
    if (const std::optional<Error> failure = connect_to(address, socket)) {
      if (failure->errnum() == ECONNREFUSED) return {Liveness::dead};
      if (failure->errnum() == EAGAIN) return {Liveness::alive};
      return {Liveness::unknown, 0, failure};
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
      return {Liveness::unknown, 0, failure_to("get the pid of the listener on " + path)};
    if (peer.pid <= 0) return {Liveness::alive};  // in a pid namespace that is not visible here
    switch (process_state(peer.pid)) {
      case ProcessState::alive:
        return {Liveness::alive, peer.pid};
      case ProcessState::exiting:
        return {Liveness::dead, peer.pid};
      case ProcessState::unknown:
        return {Liveness::unknown, peer.pid,
                Error::unknown("cannot examine process " + std::to_string(peer.pid) +
                               ", which listens on " + path)};
      case ProcessState::exited:
        if (pause > 100000) return {Liveness::alive, peer.pid};
    }
    ::usleep(pause);
  }
}

std::vector<std::string> listeners_at(const std::string& path, pid_t pid) {
  constexpr std::size_t kMostBytes = 256u << 20;
  constexpr std::uint64_t kListens = 0x10000;  // __SO_ACCEPTCON, linux/net.h
  const std::string table = "/proc/" + std::to_string(pid) + "/net/unix";
  const std::optional<std::string> sockets = read_file(table, kMostBytes);
  if (!sockets && pid == ::getpid())
    throw Error(Code::unknown, "open " + table + ": " + errno_text(ENOENT), ENOENT);
  std::vector<std::string> inodes;
  each_line(sockets.value_or(""), [&](std::string_view line) {
    // Num RefCount Protocol Flags Type St Inode Path; the path may hold blanks.
    std::string_view flags, inode;
    for (int field = 1; field <= 7; ++field) {
      inode = cut_word(line);
      if (field == 4) flags = inode;
    }
    if (line.empty() || line.substr(1) != path) return;
    std::uint64_t bits = 0;
    std::from_chars(flags.data(), flags.data() + flags.size(), bits, 16);
    if (bits & kListens) inodes.emplace_back(inode);
  });
  return inodes;
}

SocketFile::SocketFile(const Fd& socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  path_.assign(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
  struct stat status{};
  if (::lstat(path_.c_str(), &status) < 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

bool SocketFile::is_gone() const noexcept {
  struct stat status{};
  if (::lstat(path_.c_str(), &status) < 0) return errno == ENOENT || errno == ENOTDIR;
  return status.st_dev != device_ || status.st_ino != inode_;
}

void SocketFile::remove() const noexcept {
  if (is_gone()) return;
  std::optional<SocketLock> lock;
  try {
    lock.emplace(path_, std::chrono::milliseconds(0));
  } catch (const std::exception&) {  // its holder does not replace the socket of a live shim
  }
  remove_locked();
}

void SocketFile::remove_locked() const noexcept {
  struct stat status{};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
    ::unlink(path_.c_str());
}

}  // namespace thinshim
