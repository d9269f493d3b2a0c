// SPDX-License-Identifier: Apache-2.0
// What criu leaves behind beside a checkpoint. Its work directory may be the client's, and an image
// may be anybody's, so nothing in them is trusted (GHSA for CVE-2026-50195): no link is followed.
#pragma once

#include <string>

namespace thinshim {

// Copies `log` (WORK/dump.log or WORK/restore.log) to `target`, which it replaces; as much of it as
// is there, 16 MiB at most. Where there is none, for criu did not get that far, `target` is only
// removed. Throws Error where the log is no regular file. Blocks: to be run in a fork.
void keep_criu_log(const std::string& log, const std::string& target);

// Removes a directory and all that is in it; nothing where it is missing. Does not leave the file
// system on which it lies. Throws Error. Blocks.
void remove_tree(const std::string& path);

}  // namespace thinshim
