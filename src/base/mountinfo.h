// SPDX-License-Identifier: Apache-2.0
// Parser for /proc/PID/mountinfo (proc_pid_mountinfo(5)), the mounts of a mount namespace, one per
// line:
//
//     ID PARENT DEVICE ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS
//
// Do not read it in the event loop: there can be thousands of mounts, and the kernel generates the
// list for each reader.
#pragma once

#include <string>
#include <string_view>

namespace thinshim {

// Fields of one line, still escaped; empty if the line is too short.
struct MountinfoLine {
  std::string_view root;   // the directory of the file system that is mounted
  std::string_view point;  // the mount point
  std::string_view type;
  std::string_view super_options;
};
// Removes the first line from `mountinfo`, which must not be empty, and parses it.
MountinfoLine take_mount(std::string_view& mountinfo);

// Decodes a field: the kernel writes white space and backslashes as \ooo (octal). Other backslashes
// stay.
std::string unescape_mount(std::string_view field);

}  // namespace thinshim
