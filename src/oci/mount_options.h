// SPDX-License-Identifier: Apache-2.0
// Converts mount options from the words of mount(8) to the arguments of mount(2).
//
// The words are those of containerd's core/mount/mount_linux.go, plus the propagation words and a
// few flags. containerd passes the latter to the file system as data, which rejects them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

struct MountOptions {
  unsigned long flags = 0;        // MS_*, without the propagation flags
  unsigned long propagation = 0;  // needs a separate mount(2)
  std::vector<std::string> data;  // for the file system, in order
  bool loop = false;              // the source is a file, to be mounted through a loop device
  std::string uidmap;             // "container:host:size[,...]" of an ID-mapped mount;
  std::string gidmap;             // ignored unless both are given
};

// Later words override earlier ones. Throws Error for options that are internal to containerd
// ("X-containerd.*").
MountOptions parse_mount_options(const std::vector<std::string>& words);

// The data argument of mount(2); the kernel's limit is less than one page.
std::string join_data(const std::vector<std::string>& data);

// Options of overlay. In their paths, `:`, `,` and `\` are escaped with a backslash.

// Splits each element at its commas, except at commas in double quotes (SELinux contexts) and
// escaped ones.
std::vector<std::string> split_data(const std::vector<std::string>& data);

// The index of "lowerdir=..."; npos where there is none.
std::size_t find_lowerdir(const std::vector<std::string>& data);
// "lowerdir=/a:/b::/c" gives {"/a", "/b", "", "/c"}, still escaped. Directories after an empty
// element are data-only layers (overlayfs.rst, "Data-only lower layers").
std::vector<std::string> lower_dirs(std::string_view option);
std::string lowerdir_option(const std::vector<std::string>& dirs);

std::string escape_layer(std::string_view path);
std::string unescape_layer(std::string_view path);

// The common parent of `dirs`, with a slash at the end, still escaped. Nothing where it is the root
// directory, or where a path is not absolute.
std::optional<std::string> common_directory(const std::vector<std::string>& dirs);

}  // namespace thinshim
