// SPDX-License-Identifier: Apache-2.0
#include "oci/in_root.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <optional>
#include <vector>

#include "base/error.h"

namespace thinshim {
namespace {

constexpr int kMaxLinks = 40;  // the kernel's (path_resolution(7))

// The target of an open symbolic link; nothing where the file is not a link.
std::optional<std::string> link_target(const Fd& file, const std::string& what) {
  struct stat status{};
  if (::fstat(file.get(), &status) < 0) throw_errno(what);
  if (!S_ISLNK(status.st_mode)) return std::nullopt;
  char text[PATH_MAX];
  const ssize_t size = ::readlinkat(file.get(), "", text, sizeof text);
  if (size < 0) throw_errno(what);
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace

Fd open_in_root(const Fd& root, const std::string& path, const std::string& what) {
  std::vector<Fd> entered;  // the open directories below the root; ".." closes the last one
  std::string rest = path;
  int links = 0;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string name = rest.substr(0, end);
    rest.erase(0, end + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (!entered.empty()) entered.pop_back();
      continue;
    }
    const Fd& here = entered.empty() ? root : entered.back();
    Fd next(::openat(here.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next) throw_errno(what);
    const std::optional<std::string> link = link_target(next, what);
    if (!link) {
      entered.push_back(std::move(next));
      continue;
    }
    if (++links > kMaxLinks) throw_errno(what, ELOOP);
    if (link->starts_with('/')) entered.clear();
    rest = *link + '/' + rest;
  }
  return entered.empty() ? root.duplicate(what.c_str()) : std::move(entered.back());
}

}  // namespace thinshim
