// SPDX-License-Identifier: Apache-2.0
#include "oci/unmount.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mountinfo.h"

namespace thinshim {
namespace {

constexpr std::size_t kMaxMountinfo = 256u << 20;

bool is_missing(int errnum) { return errnum == ENOENT || errnum == ENOTDIR; }

// The time for retries of busy mounts.
struct Retries {
  useconds_t left = 2'500'000;
  useconds_t pause = 1000;
};

bool unmount_once(const std::string& path, int flags, Retries& retries) {
  for (;;) {
    if (::umount2(path.c_str(), flags | UMOUNT_NOFOLLOW) == 0) return true;
    if (errno == EINVAL || is_missing(errno)) return false;
    if (errno != EBUSY || retries.left == 0) throw_errno("failed to unmount target " + path);
    const useconds_t pause = std::min(retries.pause, retries.left);
    ::usleep(pause);  // the kernel does not report when a mount stops being busy
    retries.left -= pause;
    retries.pause = std::min<useconds_t>(2 * pause, 50'000);
  }
}

// The path as mountinfo would show it; nothing where it is missing.
std::optional<std::string> canonical(const std::string& target) {
  std::string name(base_name(target));
  if (name.empty() || name == "." || name == "..")
    throw Error::invalid_argument("unmount " + target);
  const std::optional<std::string> directory = real_path(directory_of(target));
  if (!directory) return std::nullopt;
  return join_path(*directory, name);
}

bool is_empty_directory(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return false;
  int entries = 0;
  while (::readdir(directory.get())) ++entries;
  return entries == 2;
}

// Whether statx(2) shows that nothing can be mounted on or below `path`, which is the usual case.
// Saves reading mountinfo, which can be megabytes. False where it cannot be known.
bool is_known_unmounted(const std::string& path) {
  struct statx status{};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_TYPE, &status) != 0)
    return is_missing(errno);
  bool is_supported = status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;  // Linux 5.8
  bool root_of_mount = status.stx_attributes & STATX_ATTR_MOUNT_ROOT;
  return is_supported && !root_of_mount && S_ISDIR(status.stx_mode) && is_empty_directory(path);
}

}  // namespace

std::vector<std::string> mount_points_below(std::string_view mountinfo,
                                            std::string_view directory) {
  std::vector<std::string> points;
  while (!mountinfo.empty()) {
    std::string point = unescape_mount(take_mount(mountinfo).point);
    bool below = point.size() > directory.size() && point[directory.size()] == '/';
    if ((below || point.size() == directory.size()) && point.starts_with(directory))
      points.push_back(std::move(point));
  }
  std::reverse(points.begin(), points.end());
  return points;
}

bool unmount_once(const std::string& path, int flags) {
  Retries retries;
  return unmount_once(path, flags, retries);
}

void unmount_recursive(const std::string& target, int flags) {
  std::optional<std::string> path = canonical(target);
  if (!path || is_known_unmounted(*path)) return;
  Fd file = open_file("/proc/self/mountinfo", O_RDONLY);
  std::string mountinfo = read_all(file.get(), kMaxMountinfo, "read /proc/self/mountinfo");
  Retries retries;
  std::exception_ptr failure;
  for (const std::string& point : mount_points_below(mountinfo, *path)) {
    try {
      unmount_once(point, flags, retries);
    } catch (const Error&) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace thinshim
