// SPDX-License-Identifier: Apache-2.0
#include "oci/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/quote.h"

namespace thinshim {
namespace {

constexpr int kAttempts = 100;

// Without LOOP_CONFIGURE, which Linux 5.8 added. Returns an errno.
int configure_in_steps(int device, const loop_config& config) {
  if (::ioctl(device, LOOP_SET_FD, static_cast<int>(config.fd)) != 0) return errno;
  loop_info64 info = config.info;
  info.lo_flags &= ~static_cast<unsigned>(LO_FLAGS_DIRECT_IO);
  bool direct_io = config.info.lo_flags & LO_FLAGS_DIRECT_IO;
  if (::ioctl(device, LOOP_SET_STATUS64, &info) == 0 &&
      (!direct_io || ::ioctl(device, LOOP_SET_DIRECT_IO, 1UL) == 0))
    return 0;
  int failure = errno;
  ::ioctl(device, LOOP_CLR_FD, 0);
  return failure;
}

int configure(int device, const loop_config& config) {
  if (::ioctl(device, LOOP_CONFIGURE, &config) == 0) return 0;
  bool unknown = errno == EINVAL || errno == ENOTTY || errno == ENOSYS;
  return unknown ? configure_in_steps(device, config) : errno;
}

}  // namespace

LoopDevice attach_loop(const std::string& file, bool read_only, bool direct_io) {
  int access = read_only ? O_RDONLY : O_RDWR;
  Fd backing = open_file(file, access);
  Fd control = open_file("/dev/loop-control", O_RDWR);
  loop_config config{};
  config.fd = static_cast<unsigned>(backing.get());
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0) |
                         (direct_io ? LO_FLAGS_DIRECT_IO : 0);
  file.copy(reinterpret_cast<char*>(config.info.lo_file_name), LO_NAME_SIZE - 1);

  for (int attempt = 1;; ++attempt) {
    int number = check(::ioctl(control.get(), LOOP_CTL_GET_FREE), "get a free loop device");
    LoopDevice loop;
    loop.path = "/dev/loop" + std::to_string(number);
    loop.fd = open_file(loop.path, access);
    int failure = configure(loop.fd.get(), config);
    if (failure == 0) return loop;
    // LOOP_CTL_GET_FREE returns the same device to concurrent callers; another one was faster.
    if (failure != EBUSY || attempt == kAttempts)
      throw_errno("set up " + loop.path + " for " + quoted(file), failure);
    ::usleep(static_cast<useconds_t>((::getpid() + attempt) % 10 * 1000));
  }
}

}  // namespace thinshim
