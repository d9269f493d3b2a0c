// SPDX-License-Identifier: Apache-2.0
#include "support/hung_file_system.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

namespace thinshim::test {
namespace {

constexpr int kLongestLife = 60'000;  // ms
constexpr int kTestTimeout = 30'000;
constexpr std::uint64_t kFile = 2;  // its node; the root's is 1

void ensure(bool done, const std::string& what) {
  if (!done) throw std::system_error(errno, std::generic_category(), what);
}

// Implements just enough of the protocol of /dev/fuse (linux/fuse.h) for one file.
class Server {
 public:
  Server(int device, int waiters) : device_(device), waiters_(waiters) {}

  void answer(const fuse_in_header& request, const char* body) {
    switch (request.opcode) {
      case FUSE_INIT: {
        fuse_init_out out{};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = FUSE_KERNEL_MINOR_VERSION;
        out.max_write = 4096;
        return reply(request, out);
      }
      case FUSE_GETATTR: {
        fuse_attr_out out{};
        out.attr = attributes(request.nodeid);
        return reply(request, out);
      }
      case FUSE_LOOKUP: {
        if (std::string_view(body) != "file") return let_wait();
        fuse_entry_out out{};
        out.nodeid = kFile;
        out.attr = attributes(kFile);
        return reply(request, out);
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR:
        return reply(request, fuse_open_out{});
      case FUSE_READ:
        return let_wait();
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;  // these have no answer
      case FUSE_FLUSH:
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
        return send(request, 0, nullptr, 0);
      default:
        return send(request, -ENOSYS, nullptr, 0);
    }
  }

 private:
  static fuse_attr attributes(std::uint64_t node) {
    fuse_attr attributes{};
    attributes.ino = node;
    attributes.mode = node == kFile ? S_IFREG | 0755 : S_IFDIR | 0755;
    attributes.size = 4096;
    attributes.nlink = 1;
    attributes.blksize = 4096;
    return attributes;
  }
  template <class Body>
  void reply(const fuse_in_header& request, const Body& body) {
    send(request, 0, &body, sizeof body);
  }
  void send(const fuse_in_header& request, int error, const void* body, std::size_t size) {
    fuse_out_header header{static_cast<std::uint32_t>(sizeof header + size), error, request.unique};
    const iovec parts[] = {{&header, sizeof header}, {const_cast<void*>(body), size}};
    [[maybe_unused]] ssize_t n = ::writev(device_, parts, 2);
  }
  void let_wait() { [[maybe_unused]] ssize_t n = ::write(waiters_, "w", 1); }

  int device_;
  int waiters_;
};

// Closes all other descriptors of the test: its pipes must end when it closes them.
[[noreturn]] void serve(int device, int end, int waiters) {
  constexpr int kDevice = 10, kEnd = 11, kWaiters = 12;
  for (int* fd : {&device, &end, &waiters})
    *fd = ::fcntl(*fd, F_DUPFD, kWaiters + 1);  // above the fixed numbers
  ::dup2(device, kDevice);
  ::dup2(end, kEnd);
  ::dup2(waiters, kWaiters);
  ::close_range(3, kDevice - 1, 0);
  ::close_range(kWaiters + 1, ~0u, 0);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
  Server server(kDevice, kWaiters);
  alignas(fuse_in_header) static char request[64 << 10];
  pollfd ready[] = {{kDevice, POLLIN, 0}, {kEnd, POLLIN, 0}};
  while (::poll(ready, 2, kLongestLife) > 0 && ready[1].revents == 0) {
    const ssize_t size = ::read(kDevice, request, sizeof request);
    if (size < 0 && errno == ENODEV) break;  // it was unmounted
    fuse_in_header header;
    if (size < static_cast<ssize_t>(sizeof header)) continue;
    std::memcpy(&header, request, sizeof header);
    server.answer(header, request + sizeof header);
  }
  ::_exit(0);
}

}  // namespace

HungFileSystem::HungFileSystem(std::string directory) : directory_(std::move(directory)) {
  ensure(::mkdir(directory_.c_str(), 0755) == 0, "mkdir " + directory_);
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  ensure(device >= 0, "open /dev/fuse");
  const std::string options =
      "fd=" + std::to_string(device) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  ensure(::mount("hung", directory_.c_str(), "fuse", 0, options.c_str()) == 0,
         "mount " + directory_);
  int end[2], waiters[2];
  ensure(::pipe2(end, O_CLOEXEC) == 0 && ::pipe2(waiters, O_CLOEXEC) == 0, "make pipes");
  server_ = ::fork();
  if (server_ == 0) serve(device, end[0], waiters[1]);
  for (int fd : {device, end[0], waiters[1]}) ::close(fd);
  running_ = end[1];
  waiters_ = waiters[0];
  ensure(server_ > 0, "fork");
}

HungFileSystem::~HungFileSystem() {
  end();
  ::close(waiters_);
  ::umount2(directory_.c_str(), MNT_DETACH);
}

bool HungFileSystem::is_waited_for() const {
  pollfd ready{waiters_, POLLIN, 0};
  char waiter = 0;
  return ::poll(&ready, 1, kTestTimeout) > 0 && ::read(waiters_, &waiter, 1) == 1;
}

void HungFileSystem::end() {
  if (running_ < 0) return;
  ::close(std::exchange(running_, -1));
  ::waitpid(server_, nullptr, 0);
}

}  // namespace thinshim::test
