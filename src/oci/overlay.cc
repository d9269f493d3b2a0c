// SPDX-License-Identifier: Apache-2.0
#include "oci/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "base/quote.h"
#include "oci/mount_options.h"

namespace thinshim {
namespace {

constexpr std::size_t kMaxValue = 255;  // of an option that fsconfig takes as a string

// A file system that is being put together.
class FileSystem {
 public:
  explicit FileSystem(const char* type) : context_(::fsopen(type, FSOPEN_CLOEXEC)) {
    if (!context_) throw_errno(std::string("open file system ") + type);
  }

  void set_flag(const std::string& key) {
    call(FSCONFIG_SET_FLAG, key.c_str(), nullptr, quoted(key));
  }
  void set(const std::string& key, const std::string& value) {
    call(FSCONFIG_SET_STRING, key.c_str(), value.c_str(), quoted(key + "=" + value));
  }
  // `path` as it is; `written`: as the option wants it.
  void set_path(const std::string& key, const std::string& path, const std::string& written) {
    if (written.size() <= kMaxValue) return set(key, written);
    directories_.push_back(open_file(path, O_PATH | O_DIRECTORY));
    set(key, "/proc/self/fd/" + std::to_string(directories_.back().get()));
  }

  void mount(const std::string& target, unsigned attributes) {
    call(FSCONFIG_CMD_CREATE, nullptr, nullptr, "create the file system");
    Fd mount(::fsmount(context_.get(), FSMOUNT_CLOEXEC, attributes));
    if (!mount) throw_errno("mount the file system");
    if (::move_mount(mount.get(), "", AT_FDCWD, target.c_str(),
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) != 0)
      throw_errno("attach to " + quoted(target));
  }

 private:
  void call(unsigned command, const char* key, const char* value, const std::string& what) {
    if (::fsconfig(context_.get(), command, key, value, 0) == 0) return;
    int failure = errno;
    throw Error(Code::unknown, what + ": " + errno_text(failure) + complaints(), failure);
  }
  // What the kernel says beside the errno: lines like "e overlay: reason".
  std::string complaints() const {
    std::string text;
    char line[512];
    for (ssize_t n; (n = ::read(context_.get(), line, sizeof line)) > 0;) {
      std::string_view message(line, static_cast<std::size_t>(n));
      while (message.ends_with('\n')) message.remove_suffix(1);
      if (message.starts_with("e ")) text += " (" + escaped(message.substr(2)) + ")";
    }
    return text;
  }

  Fd context_;
  std::vector<Fd> directories_;  // those whose path is too long; open until the mount is made
};

struct Attribute {
  unsigned long flag;
  unsigned attribute;
};
constexpr Attribute kAttributes[] = {
    {MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
    {MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
    {MS_NOATIME, MOUNT_ATTR_NOATIME},       {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
    {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
};
// Flags of the file system, not of the mount.
struct SuperblockFlag {
  unsigned long flag;
  const char* word;
};
constexpr SuperblockFlag kSuperblockFlags[] = {
    {MS_RDONLY, "ro"},     {MS_SYNCHRONOUS, "sync"},  {MS_DIRSYNC, "dirsync"},
    {MS_MANDLOCK, "mand"}, {MS_LAZYTIME, "lazytime"},
};

void set_layers(FileSystem& overlay, std::string_view option) {
  const char* key = "lowerdir+";
  for (const std::string& dir : lower_dirs(option)) {
    if (dir.empty()) {
      key = "datadir+";
      continue;
    }
    std::string path = unescape_layer(dir);
    overlay.set_path(key, path, path);
  }
}

void set_option(FileSystem& overlay, const std::string& option) {
  std::size_t equals = option.find('=');
  if (equals == std::string::npos) return overlay.set_flag(option);
  std::string key = option.substr(0, equals);
  std::string value = option.substr(equals + 1);
  if (key == "lowerdir") return set_layers(overlay, option);
  if (key == "upperdir" || key == "workdir")
    return overlay.set_path(key, unescape_layer(value), value);
  // mount(2) takes the quotes of SELinux contexts off, fsconfig(2) doesn't.
  value.erase(std::remove(value.begin(), value.end(), '"'), value.end());
  overlay.set(key, value);
}

}  // namespace

void mount_long_overlay(const std::string& source, const std::string& target, unsigned long flags,
                        const std::vector<std::string>& data) {
  FileSystem overlay("overlay");
  overlay.set("source", source);
  for (const SuperblockFlag& entry : kSuperblockFlags)
    if (flags & entry.flag) overlay.set_flag(entry.word);
  for (const std::string& option : data) set_option(overlay, option);
  unsigned attributes = 0;
  for (const Attribute& entry : kAttributes)
    if (flags & entry.flag) attributes |= entry.attribute;
  overlay.mount(target, attributes);
}

}  // namespace thinshim
