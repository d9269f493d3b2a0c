// SPDX-License-Identifier: Apache-2.0
// The files of one directory of a cgroup, through a descriptor: a later group of the same name is
// not mistaken for it.
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
  // No files where there is no such directory, or no path.
  explicit GroupFiles(const std::string& path);
  explicit operator bool() const { return static_cast<bool>(directory_); }

  // The content of a file, as long as `buffer` stays as it is; nothing where it cannot be read (the
  // kernel has no such file, or the group is gone).
  std::optional<std::string_view> read(const std::string& name, std::string& buffer) const;
  // Its only number; "max" is `unlimited`. 0 where there is none.
  std::uint64_t number(const std::string& name, std::uint64_t unlimited, std::string& buffer) const;

 private:
  Fd directory_;
};

// The page sizes that have a hugetlb controller, as its files name them ("2MB"); in alphabetical
// order.
std::vector<std::string> huge_page_sizes();
// The size that a directory of /sys/kernel/mm/hugepages stands for ("hugepages-2048kB"); empty for
// any other name.
std::string huge_page_size(std::string_view directory);

}  // namespace thinshim
