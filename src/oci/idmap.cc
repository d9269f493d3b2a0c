// SPDX-License-Identifier: Apache-2.0
#include "oci/idmap.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/quote.h"
#include "oci/mount_options.h"
#include "oci/unmount.h"

namespace thinshim {
namespace {

// AT_RECURSIVE of <linux/fcntl.h>, which <fcntl.h> excludes.
constexpr unsigned kRecursive = 0x8000;

// These remove a number or `c` from the front of `text`; false where it is not there.
bool take(std::string_view& text, std::uint32_t& number) {
  auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return problem == std::errc();
}
bool skip(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::string id_map_file(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const IdRange& range : ranges)
    text += std::to_string(range.container) + " " + std::to_string(range.host) + " " +
            std::to_string(range.size) + "\n";
  return text;
}

// With the kernel's requirements, where they may be missing (a seccomp filter returns EPERM for an
// unknown system call).
[[noreturn]] void throw_mapping_error(const std::string& what) {
  const int errnum = errno;
  if (errnum != ENOSYS && errnum != EPERM) throw_errno(what, errnum);
  throw_errno(what +
                  " (idmapped mounts need open_tree(2), mount_setattr(2) and move_mount(2), "
                  "Linux 5.12)",
              errnum);
}

// A child process in a new user namespace, killed by the destructor; exits if this process exits.
class NamespaceHolder {
 public:
  NamespaceHolder() {
    Pipe pipe = make_pipe();
    // as fork(), with a namespace
    pid_ = static_cast<pid_t>(
        check(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), "make a user namespace"));
    if (pid_ == 0) {
      char end;
      ::close(pipe.write.get());
      while (::read(pipe.read.get(), &end, 1) > 0) {
      }
      ::_exit(0);
    }
    life_ = std::move(pipe.write);
  }
  ~NamespaceHolder() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  NamespaceHolder(const NamespaceHolder&) = delete;

  std::string file(const char* name) const { return "/proc/" + std::to_string(pid_) + "/" + name; }

 private:
  pid_t pid_ = -1;
  Fd life_;
};

}  // namespace

std::vector<IdRange> parse_id_map(std::string_view text) {
  std::vector<IdRange> ranges;
  std::string_view rest = text;
  bool good = true;
  do {
    IdRange range{};
    good = take(rest, range.container) && skip(rest, ':') && take(rest, range.host) &&
           skip(rest, ':') && take(rest, range.size);
    ranges.push_back(range);
  } while (good && skip(rest, ','));
  if (!good || !rest.empty())
    throw Error::unknown("id mapping " + quoted(text) +
                         " is not of the form container-id:host-id:size[,...]");
  return ranges;
}

Fd make_user_namespace(const std::vector<IdRange>& uids, const std::vector<IdRange>& gids) {
  NamespaceHolder holder;
  write_file(holder.file("uid_map"), id_map_file(uids), 0);
  write_file(holder.file("gid_map"), id_map_file(gids), 0);
  return open_file(holder.file("ns/user"), O_RDONLY);
}

void mount_idmapped(const std::string& source, const std::string& target, const Fd& user_namespace,
                    std::uint64_t attributes) {
  Fd tree(::open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | kRecursive));
  if (!tree) throw_mapping_error("open tree " + quoted(source));
  mount_attr change{};
  change.attr_set = MOUNT_ATTR_IDMAP | attributes;
  change.propagation = MS_PRIVATE;
  change.userns_fd = static_cast<std::uint64_t>(user_namespace.get());
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | kRecursive, &change, sizeof change) != 0)
    throw_mapping_error("map the ids of " + quoted(source));
  if (::move_mount(tree.get(), "", AT_FDCWD, target.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) != 0)
    throw_mapping_error("attach the mapped " + quoted(source) + " to " + quoted(target));
}

IdmappedLayers::IdmappedLayers(const std::vector<std::string>& dirs, const Fd& user_namespace,
                               const std::string& place)
    : place_(place + "XXXXXX") {
  std::optional<std::string> common = common_directory(dirs);
  if (!common) throw Error::unknown("overlay's lower directories have no common parent to map");
  if (!::mkdtemp(place_.data())) throw_errno("mkdir " + place_);
  try {
    mount_idmapped(unescape_layer(*common), place_, user_namespace, MOUNT_ATTR_RDONLY);
  } catch (const Error&) {
    ::rmdir(place_.c_str());
    throw;
  }
  for (const std::string& dir : dirs)
    dirs_.push_back(dir.empty() ? "" : escape_layer(place_) + "/" + dir.substr(common->size()));
}

void remove_mapped_layers(const std::string& place) {
  const std::string directory = directory_of(place);
  const std::string_view name = base_name(place);
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  while (dirent* entry = open ? ::readdir(open.get()) : nullptr) {
    if (!std::string_view(entry->d_name).starts_with(name)) continue;
    const std::string left = join_path(directory, entry->d_name);
    ::umount2(left.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    ::rmdir(left.c_str());
  }
}

IdmappedLayers::~IdmappedLayers() {
  try {
    unmount_once(place_);
  } catch (const Error&) {
    ::umount2(place_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);  // busy
  }
  ::rmdir(place_.c_str());
}

}  // namespace thinshim
