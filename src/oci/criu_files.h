// SPDX-License-Identifier: Apache-2.0
// Files that criu writes beside a checkpoint. The client may choose the work directory and the
// image, so their content is not trusted (CVE-2026-50195): symbolic links are not followed.
#pragma once

#include <string>

namespace thinshim {

// Replaces `target` with a copy of `log` (WORK/dump.log or WORK/restore.log), 16 MiB at most. Where
// criu wrote no log, only removes `target`. Throws Error where the log is not a regular file.
// Blocks: run it in a fork.
void copy_criu_log(const std::string& log, const std::string& target);

// Removes a directory tree, within one file system; does nothing where it is missing. Throws Error.
// Blocks.
void remove_tree(const std::string& path);

}  // namespace thinshim
