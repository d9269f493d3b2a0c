// SPDX-License-Identifier: Apache-2.0
#include "shim/address.h"

#include <fcntl.h>
#include <sha2.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

// Go's filepath.Clean for what Join made of its parts.
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

// SIGKILL has been sent, but not been acted upon (proc_pid_status(5), SigPnd and ShdPnd).
bool is_being_killed(int pid) {
  constexpr unsigned long kKill = 1ul << (SIGKILL - 1);
  const std::string status = read_proc_file(pid, "status");
  for (const char* line : {"SigPnd:", "ShdPnd:"}) {
    std::size_t found = status.find(line);
    if (found == std::string::npos) continue;
    if (std::strtoul(status.c_str() + found + 7, nullptr, 16) & kKill) return true;
  }
  return false;
}

// On its way out, with its descriptors perhaps still open; a zombie's are closed. A stock shim's
// socket names a process that is long gone. Field 9 of /proc/PID/stat, counted behind the name in
// parentheses, which may hold anything (proc_pid_stat(5)).
bool is_exiting(int pid) {
  constexpr unsigned long kExiting = 0x4;  // PF_EXITING, linux/sched.h
  std::string stat = read_proc_file(pid, "stat");
  std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return false;
  char state = 0;
  unsigned long flags = 0;
  std::sscanf(stat.c_str() + name_end + 1, " %c %*d %*d %*d %*d %*d %lu", &state, &flags);
  if (state == 'Z') return false;
  return (flags & kExiting) != 0 || is_being_killed(pid);
}

Fd unix_socket() {
  return Fd(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                  "make a unix socket"));
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

SocketDirectoryLock::SocketDirectoryLock(const std::string& path) {
  std::string directory = directory_of(path);
  make_directories(directory, 0700);
  directory_ = open_file(directory, O_RDONLY | O_DIRECTORY);
  while (::flock(directory_.get(), LOCK_EX) < 0)
    if (errno != EINTR) throw_errno("lock " + directory);
}

Fd bind_socket(const std::string& path) {
  sockaddr_un address = address_to(path);
  Fd socket = unix_socket();
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    throw_errno("listen unix " + path);
  if (::chmod(path.c_str(), 0600) < 0) {  // nobody can have connected before
    int errnum = errno;
    ::unlink(path.c_str());
    throw_errno("chmod " + path, errnum);
  }
  return socket;
}

std::string path_of_listener(const Fd& listener) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  check(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size),
        "read a socket's address");
  return std::string(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
}

Probe probe_socket(const std::string& path) {
  sockaddr_un address = address_to(path);
  Fd socket = unix_socket();
  Probe probe;
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    probe.alive = errno == EAGAIN || errno == EINPROGRESS;
    return probe;
  }
  probe.alive = true;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) probe.pid = peer.pid;
  if (probe.pid > 0 && is_exiting(probe.pid)) probe.alive = false;
  return probe;
}

}  // namespace thinshim
