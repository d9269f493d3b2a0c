// SPDX-License-Identifier: Apache-2.0
// ID-mapped mounts for containers in a user namespace (mount_setattr(2), "ID-mapped mounts"; Linux
// 5.12, for the layers of an overlay 5.19).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace thinshim {

struct IdRange {
  std::uint32_t container;
  std::uint32_t host;
  std::uint32_t size;
};

// "0:100000:65536[,...]": container id, host id, size. Throws Error.
std::vector<IdRange> parse_id_map(std::string_view text);

// A user namespace with these mappings and no process in it. Throws Error.
Fd make_user_namespace(const std::vector<IdRange>& uids, const std::vector<IdRange>& gids);

// Mounts a copy of the tree at `source`, including the mounts below it, on `target`, with the
// mapping of the namespace and `attributes` (MOUNT_ATTR_*). Throws Error.
void mount_idmapped(const std::string& source, const std::string& target, const Fd& user_namespace,
                    std::uint64_t attributes = 0);

// A temporary, read-only ID-mapped mount of the common parent of an overlay's lower directories.
// The overlay clones the mount, so the destructor may unmount it once the overlay is mounted. Where
// the process is killed before, remove_mapped_layers() unmounts it.
class IdmappedLayers {
 public:
  // `dirs` as lower_dirs() returns them. Mounts on a new directory PLACEXXXXXX. Throws Error.
  IdmappedLayers(const std::vector<std::string>& dirs, const Fd& user_namespace,
                 const std::string& place);
  IdmappedLayers(const IdmappedLayers&) = delete;
  IdmappedLayers& operator=(const IdmappedLayers&) = delete;
  ~IdmappedLayers();

  // The directories, as paths through the mount.
  const std::vector<std::string>& dirs() const { return dirs_; }

 private:
  std::string place_;
  std::vector<std::string> dirs_;
};

// Unmounts and removes what IdmappedLayers in killed processes left at `place`.
void remove_mapped_layers(const std::string& place);

}  // namespace thinshim
