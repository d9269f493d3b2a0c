// SPDX-License-Identifier: Apache-2.0
// A temporary directory, removed with its content.
#pragma once

#include <filesystem>
#include <string>

namespace thinshim::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // dir / "name": the path of a file in it.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace thinshim::test
