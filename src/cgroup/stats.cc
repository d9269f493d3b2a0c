// SPDX-License-Identifier: Apache-2.0
#include "cgroup/stats.h"

namespace thinshim {
namespace {

using AnyFiles = std::variant<v1::Files, v2::Files>;

AnyFiles open_files(const Cgroup& group) {
  if (group.version() == CgroupVersion::v2) return AnyFiles(std::in_place_type<v2::Files>, group);
  return AnyFiles(std::in_place_type<v1::Files>, group);
}

std::string serialize(const v1::Files& files) {
  v1::stats::Metrics metrics;
  files.read(metrics);
  return metrics.SerializeAsString();
}
std::string serialize(const v2::Files& files) {
  v2::stats::Metrics metrics;
  files.read(metrics);
  return metrics.SerializeAsString();
}

}  // namespace

StatsReader::StatsReader(const Cgroup& group) : files_(open_files(group)) {}

std::string StatsReader::type() const {
  return std::holds_alternative<v2::Files>(files_) ? "io.containerd.cgroups.v2.Metrics"
                                                   : "io.containerd.cgroups.v1.Metrics";
}

std::string StatsReader::read() const {
  return std::visit([](const auto& files) { return serialize(files); }, files_);
}

}  // namespace thinshim
