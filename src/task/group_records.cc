// SPDX-License-Identifier: Apache-2.0
#include "task/group_records.h"

#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace thinshim {

void GroupRecords::add(const std::string& id, const Bundle& bundle,
                       const Runtime::Settings& runtime, const ContainerSpec& spec) {
  if (first_bundle_.empty()) return;
  if (is_same_file(first_bundle_, bundle.path())) {
    for (const auto& [other, member] : members_) write(member);
    return;
  }
  GroupMember member{id, bundle.path(), runtime, spec.cgroups_path, spec.root_path};
  if (!member.root_path.starts_with('/'))
    member.root_path = join_path(bundle.path(), member.root_path);
  write(member);
  members_.insert_or_assign(id, std::move(member));
}

void GroupRecords::write(const GroupMember& member) const {
  try {
    member.write_to(first_bundle_);
  } catch (const Error& error) {
    // Without the first bundle there is no `delete` that reads the record.
    if (error.errnum() != ENOENT) throw error.in("failed to write the container's record");
  }
}

// A stale record would make a later `delete` kill another container of the same id.
void GroupRecords::remove(const std::string& id) {
  if (first_bundle_.empty()) return;
  members_.erase(id);
  try {
    remove_member(first_bundle_, id);
  } catch (const Error& error) {
    log::error("failed to remove the record of a deleted container",
               {{"id", id}, {"error", error.what()}});
  }
}

}  // namespace thinshim
