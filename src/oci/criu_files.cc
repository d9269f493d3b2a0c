// SPDX-License-Identifier: Apache-2.0
#include "oci/criu_files.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

namespace thinshim {
namespace {

constexpr off_t kMaxLog = 16 << 20;
constexpr int kOpenDirectories = 16;

int remove_entry(const char* path, const struct stat*, int, FTW*) {
  return ::remove(path) < 0 && errno != ENOENT ? errno : 0;
}

}  // namespace

void copy_criu_log(const std::string& name, const std::string& target) {
  if (::unlink(target.c_str()) < 0 && errno != ENOENT) throw_errno("remove " + target);
  Fd log = try_open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!log && errno == ENOENT) return;
  if (!log) throw_errno("open " + name);
  struct stat status{};
  check(::fstat(log.get(), &status), "fstat");
  if (!S_ISREG(status.st_mode)) throw Error::invalid_argument(name + " is not a regular file");
  Fd copy = open_file(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  for (off_t done = 0; done < std::min(status.st_size, kMaxLog);) {
    ssize_t n = ::sendfile(copy.get(), log.get(), nullptr,
                           static_cast<std::size_t>(std::min(status.st_size, kMaxLog) - done));
    if (n < 0) throw_errno("write " + target);
    if (n == 0) return;
    done += n;
  }
}

void remove_tree(const std::string& path) {
  int result =
      ::nftw(path.c_str(), remove_entry, kOpenDirectories, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  if (result == 0 || (result < 0 && errno == ENOENT)) return;
  throw_errno("remove " + path, result < 0 ? errno : result);
}

}  // namespace thinshim
