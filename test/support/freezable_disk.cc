// SPDX-License-Identifier: Apache-2.0
#include "support/freezable_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace thinshim::test {
namespace {

void require(bool done, const std::string& what) {
  if (!done) throw std::system_error(errno, std::generic_category(), what);
}

// Closes all other descriptors of the test: its pipes must end when it closes them.
[[noreturn]] void thaw_later(int root, int end, int limit) {
  ::dup2(root, 0);
  ::dup2(end, 1);
  ::close_range(2, ~0u, 0);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) ::signal(number, SIG_IGN);
  pollfd ends{1, POLLIN, 0};
  ::poll(&ends, 1, limit);
  ::ioctl(0, FITHAW, 0);
  ::_exit(0);
}

}  // namespace

FreezableDisk::FreezableDisk(const std::string& image, std::string directory)
    : directory_(std::move(directory)) {
  require(::mkdir(directory_.c_str(), 0755) == 0, "mkdir " + directory_);
  // By its path: busybox has one of its own.
  const std::string commands = "truncate -s 16M " + image + " && /sbin/mke2fs -q -t ext4 " + image +
                               " && mount -o loop " + image + " " + directory_;
  require(std::system(commands.c_str()) == 0, commands);
}

FreezableDisk::~FreezableDisk() {
  thaw();
  ::umount2(directory_.c_str(), MNT_DETACH);
}

void FreezableDisk::freeze(std::chrono::milliseconds limit) {
  int ends[2];
  root_ = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require(root_ >= 0 && ::pipe2(ends, O_CLOEXEC) == 0, "open " + directory_);
  thawer_ = ::fork();
  if (thawer_ == 0) thaw_later(root_, ends[0], static_cast<int>(limit.count()));
  ::close(ends[0]);
  freezing_ = ends[1];
  require(thawer_ > 0, "fork");
  require(::ioctl(root_, FIFREEZE, 0) == 0, "freeze " + directory_);
}

void FreezableDisk::thaw() {
  if (root_ < 0) return;
  ::close(std::exchange(freezing_, -1));
  ::waitpid(std::exchange(thawer_, -1), nullptr, 0);
  ::ioctl(root_, FITHAW, 0);  // if the helper was killed
  ::close(std::exchange(root_, -1));
}

}  // namespace thinshim::test
