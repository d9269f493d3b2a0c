// SPDX-License-Identifier: Apache-2.0
// The mounts of a mount namespace as the kernel lists them in /proc/PID/mountinfo
// (proc_pid_mountinfo(5)), one a line:
//
//     ID PARENT DEVICE ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS
//
// A machine can have thousands, and the list is made anew for each reader: not for the event loop.
#pragma once

#include <string>
#include <string_view>

namespace thinshim {

// Fields of one line, still escaped; empty where the line ends before.
struct MountinfoLine {
  std::string_view root;   // what of the file system is mounted
  std::string_view point;  // where
  std::string_view type;
  std::string_view super_options;
};
// Takes the first line off the front of `mountinfo`, which is not empty.
MountinfoLine take_mount(std::string_view& mountinfo);

// The text that a field stands for: white space and backslashes are written as a backslash and
// three octal digits. Other backslashes are left as they are.
std::string unescape_mount(std::string_view field);

}  // namespace thinshim
