// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/fd.h"

namespace thinshim {

namespace {

// ESRCH: a process exited between two accesses to its /proc directory.
bool is_missing(int errnum) { return errnum == ENOENT || errnum == ENOTDIR || errnum == ESRCH; }

}  // namespace

std::string read_all(int fd, std::size_t limit, const std::string& context) {
  std::string content;
  char chunk[4096];
  for (;;) {
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(context);
    if (n == 0) return content;
    if (content.size() + static_cast<std::size_t>(n) > limit)
      throw Error::invalid_argument(context + ": larger than " + std::to_string(limit) + " bytes");
    content.append(chunk, static_cast<std::size_t>(n));
  }
}

std::optional<std::string> read_file(const std::string& path, std::size_t limit, Links links) {
  Fd file = try_open(path, O_RDONLY | O_NONBLOCK | (links == Links::refuse ? O_NOFOLLOW : 0));
  if (!file && is_missing(errno)) return std::nullopt;
  if (!file) throw_errno("open " + path);
  return read_all(file.get(), limit, "read " + path);
}

std::optional<std::string> read_link(const std::string& path) {
  char name[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), name, sizeof name);
  if (size < 0 && (is_missing(errno) || errno == EINVAL)) return std::nullopt;
  if (size < 0) throw_errno("readlink " + path);
  if (size == static_cast<ssize_t>(sizeof name)) throw_errno("readlink " + path, ENAMETOOLONG);
  return std::string(name, static_cast<std::size_t>(size));
}

std::optional<std::string> real_path(const std::string& directory) {
  char real[PATH_MAX];
  if (::realpath(directory.c_str(), real)) return real;
  if (is_missing(errno)) return std::nullopt;
  throw_errno("realpath " + directory);
}

bool may_exist(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 || !is_missing(errno);
}

void write_file(const std::string& path, std::string_view content, unsigned mode) {
  Fd file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
  while (!content.empty()) {
    ssize_t n = ::write(file.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("write " + path);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::optional<int> read_pid_file(const std::string& path) {
  std::optional<std::string> text = read_file(path, 64);
  if (!text) return std::nullopt;
  while (!text->empty() && text->back() == '\n') text->pop_back();
  int pid = 0;
  const char* end = text->data() + text->size();
  auto [stop, problem] = std::from_chars(text->data(), end, pid);
  if (problem != std::errc() || stop != end || pid <= 0)
    throw Error::unknown("read " + path + ": not a process id: \"" + *text + "\"");
  return pid;
}

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

std::string directory_of(std::string_view path) {
  std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

std::string_view base_name(std::string_view path) {
  std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  if (!open && is_missing(errno)) return names;
  if (!open) throw_errno("open " + directory);
  for (errno = 0; dirent* entry = ::readdir(open.get()); errno = 0) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  if (errno != 0) throw_errno("read " + directory);
  return names;
}

bool is_same_file(const std::string& one, const std::string& other) {
  if (one == other) return true;
  struct stat first{}, second{};
  for (const auto& [name, status] : {std::pair{&one, &first}, std::pair{&other, &second}}) {
    if (::stat(name->c_str(), status) == 0) continue;
    if (is_missing(errno)) return false;
    throw_errno("stat " + *name);
  }
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

std::string working_directory() {
  char path[4096];
  if (!::getcwd(path, sizeof path)) throw_errno("getcwd");
  return path;
}

void make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return;
  if (errno == ENOENT && path.find('/', 1) != std::string::npos) {
    make_directories(directory_of(path), mode);
    if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return;
  }
  throw_errno("mkdir " + path);
}

}  // namespace thinshim
