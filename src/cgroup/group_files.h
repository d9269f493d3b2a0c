// SPDX-License-Identifier: Apache-2.0
// The files of one cgroup directory, opened through a descriptor: a later cgroup of the same name
// is not read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace thinshim {

class GroupFiles {
 public:
  // No files.
  GroupFiles() = default;
  // No files where the directory does not exist or `path` is empty.
  explicit GroupFiles(const std::string& path);
  explicit operator bool() const { return static_cast<bool>(directory_); }

  // The content of a file, a view of `buffer`; nothing where it cannot be read (the kernel has no
  // such file, or the cgroup was removed).
  std::optional<std::string_view> read(const std::string& name, std::string& buffer) const;
  // The number in a file; "max" is `unlimited`. 0 where there is no number.
  std::uint64_t number(const std::string& name, std::uint64_t unlimited, std::string& buffer) const;

 private:
  Fd directory_;
};

// The machine's huge page sizes as in the names of hugetlb files ("2MB"), in alphabetical order.
std::vector<std::string> huge_page_sizes();
// The size of a directory in /sys/kernel/mm/hugepages ("hugepages-2048kB"); empty for other names.
std::string huge_page_size(std::string_view directory);

}  // namespace thinshim
