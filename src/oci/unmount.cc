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

// How long busy mounts are waited for.
struct Patience {
  useconds_t left = 2'500'000;
  useconds_t next = 1000;
};

bool unmount_once(const std::string& path, int flags, Patience& patience) {
  for (;;) {
    if (::umount2(path.c_str(), flags | UMOUNT_NOFOLLOW) == 0) return true;
    if (errno == EINVAL || is_missing(errno)) return false;
    if (errno != EBUSY || patience.left == 0) throw_errno("failed to unmount target " + path);
    useconds_t wait = std::min(patience.next, patience.left);
    ::usleep(wait);  // nothing tells when a mount is let go of
    patience.left -= wait;
    patience.next = std::min<useconds_t>(2 * wait, 50'000);
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

// Whether a cheap look is enough to see that nothing can be mounted at or below `path`, as after
// every deletion that went well: a machine's mountinfo can be megabytes.
bool is_plainly_unmounted(const std::string& path) {
  struct statx status{};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
              STATX_TYPE, &status) != 0)
    return is_missing(errno);
  bool tells = status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;  // Linux 5.8
  bool root_of_mount = status.stx_attributes & STATX_ATTR_MOUNT_ROOT;
  return tells && !root_of_mount && S_ISDIR(status.stx_mode) && is_empty_directory(path);
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
  Patience patience;
  return unmount_once(path, flags, patience);
}

void unmount_recursive(const std::string& target, int flags) {
  std::optional<std::string> path = canonical(target);
  if (!path || is_plainly_unmounted(*path)) return;
  Fd file = open_file("/proc/self/mountinfo", O_RDONLY);
  std::string mountinfo = read_all(file.get(), kMaxMountinfo, "read /proc/self/mountinfo");
  Patience patience;
  std::exception_ptr failure;
  for (const std::string& point : mount_points_below(mountinfo, *path)) {
    try {
      unmount_once(point, flags, patience);
    } catch (const Error&) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace thinshim
