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

constexpr int kMostLinks = 40;  // the kernel's (path_resolution(7))

// What a link says that is open itself; nothing of anything else.
std::optional<std::string> text_of_link(const Fd& file, const std::string& what) {
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
  std::vector<Fd> way;  // what was entered below the root: ".." goes back to what is held open
  std::string rest = path;
  int links = 0;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string name = rest.substr(0, end);
    rest.erase(0, end + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (!way.empty()) way.pop_back();
      continue;
    }
    const Fd& here = way.empty() ? root : way.back();
    Fd next(::openat(here.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!next) throw_errno(what);
    const std::optional<std::string> link = text_of_link(next, what);
    if (!link) {
      way.push_back(std::move(next));
      continue;
    }
    if (++links > kMostLinks) throw_errno(what, ELOOP);
    if (link->starts_with('/')) way.clear();
    rest = *link + '/' + rest;
  }
  return way.empty() ? root.duplicate(what.c_str()) : std::move(way.back());
}

}  // namespace thinshim
