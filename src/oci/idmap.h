// SPDX-License-Identifier: Apache-2.0
// Mounts that show the files of a tree with other owners, for containers in a user namespace
// (mount_setattr(2), "ID-mapped mounts"; Linux 5.12, for the layers of an overlay 5.19).
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

// "0:100000:65536[,...]": container id, host id, how many. Throws Error.
std::vector<IdRange> parse_id_map(std::string_view text);

// A user namespace with these mappings and no process in it. Throws Error.
Fd make_user_namespace(const std::vector<IdRange>& uids, const std::vector<IdRange>& gids);

// Mounts a copy of the tree at `source` on `target`, mounts in it included, with the namespace's
// mapping and `attributes` (MOUNT_ATTR_*). Throws Error.
void mount_idmapped(const std::string& source, const std::string& target, const Fd& user_namespace,
                    std::uint64_t attributes = 0);

// An overlay's lower directories behind a temporary mapped mount of the directory that holds them,
// read-only. The overlay keeps copies of its own, so this can go as soon as it is mounted.
//
// Where the process was killed before that, remove_mapped_layers() does it.
class IdmappedLayers {
 public:
  // `dirs` as lower_dirs() gives them. The mount is made in a new directory whose name begins with
  // `place`. Throws Error.
  IdmappedLayers(const std::vector<std::string>& dirs, const Fd& user_namespace,
                 const std::string& place);
  IdmappedLayers(const IdmappedLayers&) = delete;
  IdmappedLayers& operator=(const IdmappedLayers&) = delete;
  ~IdmappedLayers();

  // The directories as they are reached through the mount.
  const std::vector<std::string>& dirs() const { return dirs_; }

 private:
  std::string place_;
  std::vector<std::string> dirs_;
};

// Takes off whatever is left of IdmappedLayers of this `place`.
void remove_mapped_layers(const std::string& place);

}  // namespace thinshim
