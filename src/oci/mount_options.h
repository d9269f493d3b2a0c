// SPDX-License-Identifier: Apache-2.0
// The options of a mount, from the words of mount(8) to what the kernel takes. Pure.
//
// Words and their meaning are those of containerd's core/mount/mount_linux.go, to which are added
// the propagation words and a few flags that it hands to the file system as data, which refuses
// them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

struct MountOptions {
  unsigned long flags = 0;        // MS_*, those of propagation apart
  unsigned long propagation = 0;  // for a mount(2) of its own: the kernel takes it alone
  std::vector<std::string> data;  // for the file system, in order
  bool loop = false;              // the source is a file: mount a loop device for it
  std::string uidmap;             // "container:host:size[,...]": whose ids files show;
  std::string gidmap;             // counts only where both are given
};

// Later words override earlier ones. Throws Error on options that containerd should have consumed
// ("X-containerd.*").
MountOptions parse_mount_options(const std::vector<std::string>& words);

// The data argument of mount(2); the kernel takes less than one page.
std::string join_data(const std::vector<std::string>& data);

// overlay's options. Paths in them have `:`, `,` and `\` escaped with a backslash.

// One option per element: elements that hold several, joined by commas, are taken apart. Commas in
// double quotes (SELinux contexts) and escaped ones do not count.
std::vector<std::string> split_data(const std::vector<std::string>& data);

// Where the lower directories are listed; npos where they are not.
std::size_t find_lowerdir(const std::vector<std::string>& data);
// "lowerdir=/a:/b::/c" gives {"/a", "/b", "", "/c"}, still escaped. What stands behind an empty
// element holds data only (overlayfs.rst, "Data-only lower layers").
std::vector<std::string> lower_dirs(std::string_view option);
std::string lowerdir_option(const std::vector<std::string>& dirs);

std::string escape_layer(std::string_view path);
std::string unescape_layer(std::string_view path);

// The directory that holds all of `dirs`, ending in a slash and still escaped. Nothing where that
// is the root, or where a path is not absolute.
std::optional<std::string> common_directory(const std::vector<std::string>& dirs);

}  // namespace thinshim
