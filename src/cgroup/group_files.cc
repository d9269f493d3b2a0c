// SPDX-License-Identifier: Apache-2.0
#include "cgroup/group_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/text.h"

namespace thinshim {
namespace {

constexpr char kHugePages[] = "/sys/kernel/mm/hugepages";
// Enough except on machines with many processors or disks.
constexpr std::size_t kFirstSize = 8 << 10;
constexpr std::size_t kMaxSize = 16 << 20;

}  // namespace

GroupFiles::GroupFiles(const std::string& path) {
  if (!path.empty()) directory_ = try_open(path, O_PATH | O_DIRECTORY);
}

std::optional<std::string_view> GroupFiles::read(const std::string& name,
                                                 std::string& buffer) const {
  if (!directory_) return std::nullopt;
  Fd file(::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  if (buffer.size() < kFirstSize) buffer.resize(kFirstSize);
  for (std::size_t size = 0;;) {
    ssize_t n = ::read(file.get(), buffer.data() + size, buffer.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    size += static_cast<std::size_t>(n);
    // A short read is the last: the kernel returns as much of these files as fits.
    if (size < buffer.size()) return std::string_view(buffer).substr(0, size);
    if (size >= kMaxSize) return std::nullopt;
    buffer.resize(2 * size);
  }
}

std::uint64_t GroupFiles::number(const std::string& name, std::uint64_t unlimited,
                                 std::string& buffer) const {
  std::optional<std::string_view> text = read(name, buffer);
  return text ? parse_limit(*text, unlimited).value_or(0) : 0;
}

std::vector<std::string> huge_page_sizes() {
  std::vector<std::string> sizes;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(kHugePages), &::closedir);
  if (!stream) return sizes;
  while (const dirent* entry = ::readdir(stream.get())) {
    std::string size = huge_page_size(entry->d_name);
    if (!size.empty()) sizes.push_back(std::move(size));
  }
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

std::string huge_page_size(std::string_view directory) {
  constexpr std::string_view prefix = "hugepages-", suffix = "kB";
  if (!directory.starts_with(prefix) || !directory.ends_with(suffix)) return "";
  directory.remove_prefix(prefix.size());
  directory.remove_suffix(suffix.size());
  std::optional<std::uint64_t> kilobytes = parse_number(directory);
  if (!kilobytes) return "";
  if (*kilobytes >= 1 << 20) return std::to_string(*kilobytes >> 20) + "GB";
  if (*kilobytes >= 1 << 10) return std::to_string(*kilobytes >> 10) + "MB";
  return std::to_string(*kilobytes) + "KB";
}

}  // namespace thinshim
