// SPDX-License-Identifier: Apache-2.0
// The records of a shim's containers in the bundle of its first one (oci/group_record.h), for a
// `delete` after the shim has died. Each container but the first has one, from before its create
// until nothing of it is left.
#pragma once

#include <map>
#include <string>

#include "oci/bundle.h"
#include "oci/group_record.h"
#include "oci/spec.h"

namespace thinshim {

class GroupRecords {
 public:
  // Writes nothing where `first_bundle` is empty.
  explicit GroupRecords(std::string first_bundle) : first_bundle_(std::move(first_bundle)) {}

  // Called before anything of the container is created. For the first container, whose bundle may
  // be a new one while others run, writes their records again. Throws Error.
  void add(const std::string& id, const Bundle& bundle, const Runtime::Settings& runtime,
           const ContainerSpec& spec);
  // Called once nothing of it is left. Logs failures.
  void remove(const std::string& id);

 private:
  void write(const GroupMember& member) const;

  std::string first_bundle_;
  std::map<std::string, GroupMember> members_;
};

}  // namespace thinshim
