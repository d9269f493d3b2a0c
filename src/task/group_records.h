// SPDX-License-Identifier: Apache-2.0
// The records that a shim keeps of its containers in its first bundle (oci/group_record.h): of each
// but the one whose bundle that is, for as long as there may be something of it.
#pragma once

#include <map>
#include <string>

#include "oci/bundle.h"
#include "oci/group_record.h"
#include "oci/spec.h"

namespace thinshim {

class GroupRecords {
 public:
  // Nobody is recorded where `first_bundle` is empty.
  explicit GroupRecords(std::string first_bundle) : first_bundle_(std::move(first_bundle)) {}

  // Before there can be anything of the container. For the first one, which may have been made anew
  // with its bundle while others run, records those again. Throws Error.
  void add(const std::string& id, const Bundle& bundle, const Runtime::Settings& runtime,
           const ContainerSpec& spec);
  // Once there is nothing of it any more. Failures are logged.
  void remove(const std::string& id);

 private:
  void write(const GroupMember& member) const;

  std::string first_bundle_;
  std::map<std::string, GroupMember> members_;
};

}  // namespace thinshim
