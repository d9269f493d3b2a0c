// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace thinshim::test {

// Makes a root file system from the static busybox of this machine, with a link for each of its
// commands in /bin and the usual mount points. Throws when there is no static
// busybox.
void make_busybox_tree(const std::filesystem::path& root);

// The same tree as an image for `ctr images import`: an archive as `docker save` writes it, of one
// layer.
void make_image_archive(const std::filesystem::path& root, const std::filesystem::path& archive,
                        const std::string& reference);

}  // namespace thinshim::test
