// SPDX-License-Identifier: Apache-2.0
#include "oci/rootfs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/identifier.h"
#include "base/quote.h"
#include "oci/idmap.h"
#include "oci/in_root.h"
#include "oci/loop.h"
#include "oci/mount_helper.h"
#include "oci/mount_options.h"
#include "oci/unmount.h"
#include "process/command.h"

namespace thinshim {
namespace {

// The prefix of the temporary directories of IdmappedLayers.
std::string layers_prefix(const std::string& rootfs) { return rootfs + ".layers"; }

using containerd::types::Mount;

std::size_t page_size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

class InDirectory {
 public:
  explicit InDirectory(const std::string& path) : before_(open_file(".", O_PATH | O_DIRECTORY)) {
    if (::chdir(path.c_str()) != 0) throw_errno("chdir " + path);
  }
  ~InDirectory() { [[maybe_unused]] int ignored = ::fchdir(before_.get()); }
  InDirectory(const InDirectory&) = delete;

 private:
  Fd before_;
};

// An open mount target. Looking up its name again is not safe: a process that can write to the root
// file system may have put a symbolic link there.
struct Target {
  Fd fd;
  std::string name;  // when it was opened
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd.get()); }
};

// Opens `target` below `rootfs` with open_in_root().
Target open_target(const std::string& rootfs, const std::string& target) {
  Fd root = open_file(rootfs, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (target.empty()) return {std::move(root), rootfs};
  std::string what = "failed to join path " + quoted(target) + " with root " + quoted(rootfs);
  Target opened{open_in_root(root, target, what), ""};
  opened.name = read_link(opened.path()).value_or("");
  if (!opened.name.starts_with('/')) throw Error::unknown(what + ": no path");
  return opened;
}

void check_texts(const Mount& mount) {
  for (const std::string* text : {&mount.type(), &mount.source(), &mount.target()})
    check_no_nul(*text, "mount");
  for (const std::string& option : mount.options()) check_no_nul(option, "mount");
}

// One of the listed mounts, made in up to four steps. Each step adds its mount to `made`, for
// unmounting after an error.
class Component {
 public:
  Component(const Mount& mount, const std::string& rootfs, std::vector<Target>& made)
      : mount_(mount),
        rootfs_(rootfs),
        target_(open_target(rootfs, mount.target())),
        overlay_(mount.type() == "overlay"),
        made_(made) {}

  void make() {
    for (std::string_view helper : {"mount.fuse", "mount.fuse3"}) {
      std::string prefix = std::string(helper.substr(6)) + ".";  // "fuse.", "fuse3."
      if (mount_.type().starts_with(prefix))
        return make_with_helper(std::string(helper), mount_.type().substr(prefix.size()));
    }
    options_ = parse_mount_options({mount_.options().begin(), mount_.options().end()});
    if (overlay_) options_.data = split_data(options_.data);

    Fd user_namespace;
    std::optional<IdmappedLayers> layers;
    if (!options_.uidmap.empty() && !options_.gidmap.empty()) {
      user_namespace =
          make_user_namespace(parse_id_map(options_.uidmap), parse_id_map(options_.gidmap));
      if (overlay_) map_layers(user_namespace, layers);
    }

    // A remount without data is not needed: the flags of a bind are set below (moby issue 34077).
    if (!(options_.flags & MS_REMOUNT) || !options_.data.empty()) mount_file_system();
    if ((options_.flags & (MS_BIND | MS_RDONLY)) == (MS_BIND | MS_RDONLY)) make_bind_read_only();
    if (user_namespace && !overlay_) {
      mount_idmapped(target_.path(), target_.path(), user_namespace);
      mounted();
    }
    if (options_.propagation) {
      unsigned long flags = options_.propagation | (options_.flags & MS_SILENT);
      if (::mount("", target_.path().c_str(), "", flags, "") != 0)
        throw_errno("set the propagation of " + quoted(target_.name));
    }
  }

 private:
  // Reopens the target, which is now the root of the new mount.
  void mounted() {
    target_ = open_target(rootfs_, mount_.target());
    made_.push_back({target_.fd.duplicate(), target_.name});
  }

  // Replaces the overlay's lower directories by ID-mapped ones.
  void map_layers(const Fd& user_namespace, std::optional<IdmappedLayers>& layers) {
    std::size_t place = find_lowerdir(options_.data);
    if (place == std::string::npos) throw Error::unknown("id-mapped overlay without lowerdir");
    layers.emplace(lower_dirs(options_.data[place]), user_namespace, layers_prefix(rootfs_));
    options_.data[place] = lowerdir_option(layers->dirs());
  }

  void mount_file_system() {
    std::optional<LoopDevice> loop;
    std::string source = mount_.source();
    if (options_.loop) {
      auto word = std::find(options_.data.begin(), options_.data.end(), "direct-io");
      bool direct_io = word != options_.data.end();
      if (direct_io) options_.data.erase(word);
      loop = attach_loop(source, options_.flags & MS_RDONLY, direct_io);
      source = loop->path;
    }

    if (overlay_ && join_data(options_.data).size() >= page_size()) {
      InDirectory numbers("/proc/self/fd");
      const std::vector<Fd> layers = number_layers();
      call_mount(source);
    } else {
      call_mount(source);
    }
    if (!(options_.flags & MS_REMOUNT)) mounted();
  }

  // The data of mount(2) is limited to a page. An overlay of many layers opens them and passes the
  // numbers of the descriptors as paths, with /proc/self/fd as the working directory.
  std::vector<Fd> number_layers() {
    std::vector<Fd> layers;
    std::size_t place = find_lowerdir(options_.data);
    if (place == std::string::npos) return layers;
    std::vector<std::string> dirs = lower_dirs(options_.data[place]);
    for (std::string& dir : dirs) {
      if (dir.empty()) continue;  // marks the begin of data-only layers
      layers.push_back(open_file(unescape_layer(dir), O_PATH | O_DIRECTORY));
      dir = std::to_string(layers.back().get());
    }
    options_.data[place] = lowerdir_option(dirs);
    return layers;
  }

  void call_mount(const std::string& source) {
    const std::string data = join_data(options_.data);
    if (data.size() >= page_size()) fail(source, data, "mount options is too long", E2BIG);
    if (::mount(source.c_str(), target_.path().c_str(), mount_.type().c_str(), options_.flags,
                data.c_str()) != 0)
      fail(source, data, errno_text(errno), errno);
  }

  [[noreturn]] void fail(const std::string& source, const std::string& data,
                         const std::string& reason, int errnum) {
    throw Error(Code::unknown,
                "mount source: " + quoted(source) + ", target: " + quoted(target_.name) +
                    ", fstype: " + escaped(mount_.type()) + ", flags: " +
                    std::to_string(options_.flags) + ", data: " + quoted(data) + ", err: " + reason,
                errnum);
  }

  // The first mount(2) of a bind ignores MS_RDONLY. In a user namespace, the flags of the source's
  // mount are locked and the remount must repeat them.
  void make_bind_read_only() {
    const std::string path = target_.path();
    unsigned long flags = options_.flags | MS_REMOUNT;
    if (::mount("", path.c_str(), "", flags, "") == 0) return;
    struct statvfs status{};
    if (errno != EPERM || ::statvfs(path.c_str(), &status) != 0)
      throw_errno("make " + quoted(target_.name) + " read-only");
    static constexpr std::pair<unsigned long, unsigned long> kLocked[] = {
        {ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},           {ST_NOEXEC, MS_NOEXEC},
        {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME},
    };
    for (auto [set, flag] : kLocked)
      if (status.f_flag & set) flags |= flag;
    if (::mount("", path.c_str(), "", flags, "") != 0)
      throw_errno("make " + quoted(target_.name) + " read-only");
  }

  // mount.fuse3 SOURCE TARGET -o OPTION... -t TYPE; the helper needs the target's name.
  void make_with_helper(const std::string& helper, const std::string& type) {
    Command command;
    command.program = helper;
    command.arguments = {mount_.source(), target_.name};
    for (const std::string& option : mount_.options()) {
      command.arguments.push_back("-o");
      command.arguments.push_back(option);
    }
    command.arguments.insert(command.arguments.end(), {"-t", type});
    command.environment = inherited_environment();
    // Not a pipe: the helper's daemon may keep it open.
    Fd output(check(::memfd_create("mount helper", MFD_CLOEXEC), "memfd_create"));
    command.fds = {-1, output.get(), output.get()};

    const int status = run_mount_helper(command);
    if (status == 0) return mounted();
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(
        std::max<ssize_t>(0, ::pread(output.get(), text.data(), text.size(), 0))));
    std::string how = WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                                        : "killed by signal " + std::to_string(WTERMSIG(status));
    std::string words = helper;
    for (const std::string& argument : command.arguments) words += ' ' + escaped(argument);
    throw Error::unknown("mount helper [" + words + "] failed: " + quoted(text) + ": " + how);
  }

  const Mount& mount_;
  const std::string& rootfs_;
  Target target_;
  const bool overlay_;
  std::vector<Target>& made_;
  MountOptions options_;
};

// Returns the errors, or "". MNT_DETACH, because the targets are open.
std::string undo(const std::vector<Target>& made) {
  std::string failures;
  for (auto target = made.rbegin(); target != made.rend(); ++target)
    if (::umount2(target->path().c_str(), MNT_DETACH) != 0 && errno != EINVAL)
      failures += "; failed to unmount target " + target->name + ": " + errno_text(errno);
  return failures;
}

}  // namespace

void mount_all(const MountList& mounts, const std::string& rootfs) {
  if (mounts.empty()) return;
  const Fd lock = lock_mounting(rootfs);
  if (::mkdir(rootfs.c_str(), 0711) != 0 && errno != EEXIST) throw_errno("mkdir " + rootfs);
  std::vector<Target> made;
  for (const Mount& mount : mounts) {
    try {
      check_texts(mount);
      Component(mount, rootfs, made).make();
    } catch (const Error& failure) {
      Error named = failure.in("failed to mount rootfs component");
      throw Error(named.code(), named.what() + undo(made), named.errnum());
    }
  }
}

void unmount_all(const std::string& rootfs, std::chrono::milliseconds limit) {
  std::optional<Error> failure;
  try {
    wait_for_mounting(rootfs, limit);
  } catch (const Error& error) {
    failure = error;  // what is mounted by now comes off all the same
  }
  remove_mapped_layers(layers_prefix(rootfs));
  unmount_recursive(rootfs);
  if (failure) throw *failure;
}

}  // namespace thinshim
