// SPDX-License-Identifier: Apache-2.0
// Metrics of a v1 cgroup, from the files of its controllers (the kernel's
// Documentation/admin-guide/cgroup-v1). The parsers take the content of a file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cgroup/cgroup.h"
#include "cgroup/group_files.h"
#include "cgroup1_metrics.pb.h"

namespace thinshim::v1 {

namespace stats = ::io::containerd::cgroups::v1;

void parse_memory_stat(std::string_view text, stats::MemoryStat& result);
void parse_oom_control(std::string_view text, stats::MemoryOomControl& result);
// The file is in clock ticks of 10 ms (USER_HZ), the result in nanoseconds.
void parse_cpuacct_stat(std::string_view text, stats::CPUUsage& result);
void parse_usage_percpu(std::string_view text, stats::CPUUsage& result);
void parse_cpu_stat(std::string_view text, stats::Throttle& result);
void parse_blkio(std::string_view text,
                 google::protobuf::RepeatedPtrField<stats::BlkIOEntry>& result);
// Sets missing device paths, from /proc/partitions.
void name_devices(std::string_view partitions,
                  google::protobuf::RepeatedPtrField<stats::BlkIOEntry>& entries);

// The directories of the controllers; empty for controllers that the machine does not have.
class Files {
 public:
  explicit Files(const Cgroup& group);
  void read(stats::Metrics& metrics) const;

 private:
  void read_memory(stats::Metrics& metrics, std::string& buffer) const;
  void read_cpu(stats::CPUStat& cpu, std::string& buffer) const;
  void read_blkio(stats::BlkIOStat& blkio, std::string& buffer) const;
  void read_hugetlb(stats::Metrics& metrics, std::string& buffer) const;

  GroupFiles memory_, cpu_, cpuacct_, blkio_, pids_, hugetlb_, rdma_;
  std::vector<std::string> huge_page_sizes_;
};

}  // namespace thinshim::v1
