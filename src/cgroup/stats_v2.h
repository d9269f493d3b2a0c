// SPDX-License-Identifier: Apache-2.0
// Metrics of a v2 cgroup (the kernel's Documentation/admin-guide/cgroup-v2.rst). The parsers take
// the content of a file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cgroup/cgroup.h"
#include "cgroup/group_files.h"
#include "cgroup2_metrics.pb.h"

namespace thinshim::v2 {

namespace stats = ::io::containerd::cgroups::v2;

void parse_cpu_stat(std::string_view text, stats::CPUStat& result);
void parse_memory_stat(std::string_view text, stats::MemoryStat& result);
void parse_memory_events(std::string_view text, stats::MemoryEvents& result);
void parse_pressure(std::string_view text, stats::PSIStats& result);
void parse_io_stat(std::string_view text,
                   google::protobuf::RepeatedPtrField<stats::IOEntry>& result);

class Files {
 public:
  explicit Files(const Cgroup& group);
  void read(stats::Metrics& metrics) const;

 private:
  void read_memory(stats::Metrics& metrics, std::string& buffer) const;
  void read_hugetlb(stats::Metrics& metrics, std::string& buffer) const;

  GroupFiles files_;
  std::vector<std::string> huge_page_sizes_;
};

}  // namespace thinshim::v2
