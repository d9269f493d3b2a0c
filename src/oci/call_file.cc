// SPDX-License-Identifier: Apache-2.0
#include "oci/call_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

// Exec ids, which become file names in the bundle too, do not begin with a dot.
constexpr std::string_view kPrefix = ".call-";

bool is_written(const Fd& file, std::string_view content) {
  return ::write(file.get(), content.data(), content.size()) ==
         static_cast<ssize_t>(content.size());
}

}  // namespace

CallFile::CallFile(const std::string& directory, const char* name, std::string_view content) {
  if (directory.empty() || !make_in(directory, content)) make_in_memory(name, content);
}

CallFile::~CallFile() {
  if (has_name_) ::unlink(path_.c_str());
}

// The name may exist already: from a killed shim, or from one that exits while `delete` runs.
bool CallFile::make_in(const std::string& directory, std::string_view content) {
  static unsigned long files_made = 0;
  do {
    path_ = join_path(directory, std::string(kPrefix) + std::to_string(++files_made));
    file_ = try_open(path_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  } while (!file_ && errno == EEXIST);
  if (file_ && is_written(file_, content)) return has_name_ = true;
  if (file_) ::unlink(path_.c_str());
  return false;
}

void CallFile::make_in_memory(const char* name, std::string_view content) {
  const std::string what = "make " + std::string(name) + " in memory";
  file_ = Fd(check(::memfd_create(name, MFD_CLOEXEC), what.c_str()));
  if (!is_written(file_, content)) throw_errno(what);
  path_ = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file_.get());
}

bool CallFile::is_name(std::string_view name) { return name.starts_with(kPrefix); }

}  // namespace thinshim
