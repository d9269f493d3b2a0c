// SPDX-License-Identifier: Apache-2.0
#include "oci/group_record.h"

#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/identifier.h"
#include "base/text.h"

namespace thinshim {
namespace {

constexpr std::string_view kSuffix = ".member";
constexpr std::size_t kMaxBytes = 64u << 10;
// What makes the cgroups:
constexpr std::string_view kSystemd = "systemd";
constexpr std::string_view kRuntime = "runtime";

std::string file_of(const std::string& first_bundle, std::string_view id) {
  return join_path(first_bundle, std::string(id) + std::string(kSuffix));
}

}  // namespace

// Atomic, because the shim may be killed during the write.
void GroupMember::write_to(const std::string& first_bundle) const {
  std::string text;
  for (const std::string_view field :
       {std::string_view(bundle), std::string_view(runtime.binary), std::string_view(runtime.root),
        runtime.systemd_cgroup ? kSystemd : kRuntime, std::string_view(cgroups_path),
        std::string_view(root_path)})
    (text += field) += '\0';
  const std::string temporary = join_path(first_bundle, ".member");
  try {
    write_file(temporary, text, 0600);
    if (::rename(temporary.c_str(), file_of(first_bundle, id).c_str()) < 0)
      throw_errno("rename " + temporary);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

void remove_member(const std::string& first_bundle, const std::string& id) {
  const std::string path = file_of(first_bundle, id);
  if (::unlink(path.c_str()) < 0 && errno != ENOENT && errno != ENOTDIR)
    throw_errno("remove " + path);
}

std::vector<std::string> member_ids(const std::string& first_bundle) {
  std::vector<std::string> ids;
  for (const std::string& name : entries_of(first_bundle)) {
    std::string_view id = name;
    if (!id.ends_with(kSuffix)) continue;
    id.remove_suffix(kSuffix.size());
    if (is_identifier(id)) ids.emplace_back(id);
  }
  return ids;
}

std::optional<GroupMember> read_member(const std::string& first_bundle, const std::string& id) {
  const std::string path = file_of(first_bundle, id);
  const std::optional<std::string> text = read_file(path, kMaxBytes);
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  GroupMember member;
  member.id = id;
  std::string cgroups;
  bool is_whole = true;
  for (std::string* field : {&member.bundle, &member.runtime.binary, &member.runtime.root, &cgroups,
                             &member.cgroups_path, &member.root_path}) {
    is_whole = is_whole && rest.find('\0') != std::string_view::npos;
    *field = cut(rest, '\0');
  }
  member.runtime.systemd_cgroup = cgroups == kSystemd;
  if (!is_whole || !member.bundle.starts_with('/') || member.runtime.binary.empty() ||
      !member.runtime.root.starts_with('/') || (cgroups != kSystemd && cgroups != kRuntime))
    throw Error::unknown("read " + path + ": not a container record");
  return member;
}

}  // namespace thinshim
