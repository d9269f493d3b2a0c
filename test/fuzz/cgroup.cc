// SPDX-License-Identifier: Apache-2.0
// The kernel's files about cgroups: those that Stats reads (cgroup/stats_v1.h, stats_v2.h, rdma.h),
// those that count OOM kills, and those that name a process's cgroups (cgroup/cgroup.h). The first
// byte selects one.
#include "cgroup/cgroup.h"

#include <cmath>

#include "base/mountinfo.h"
#include "base/text.h"
#include "cgroup/group_files.h"
#include "cgroup/oom_v2.h"
#include "cgroup/rdma.h"
#include "cgroup/stats_v1.h"
#include "cgroup/stats_v2.h"
#include "fuzz/fuzz.h"

namespace thinshim::fuzz {
namespace {

// Serialises and parses it as a client does: Go, like protobuf here, rejects the whole message if a
// string is no UTF-8.
template <class Message>
void check_message(const Message& message) {
  Message received;
  const std::string bytes = message.SerializeAsString();
  expect(received.ParseFromString(bytes), "figures can be received");
  expect(received.SerializeAsString() == bytes, "figures are received as they were sent");
}

void check_v1(std::string_view text) {
  v1::stats::Metrics metrics;
  v1::parse_memory_stat(text, *metrics.mutable_memory());
  v1::parse_oom_control(text, *metrics.mutable_memory_oom_control());
  v1::parse_cpuacct_stat(text, *metrics.mutable_cpu()->mutable_usage());
  v1::parse_usage_percpu(text, *metrics.mutable_cpu()->mutable_usage());
  v1::parse_cpu_stat(text, *metrics.mutable_cpu()->mutable_throttling());
  parse_rdma(text, *metrics.mutable_rdma()->mutable_current());
  check_message(metrics);
}

// The statistics of block devices, and after a zero byte /proc/partitions.
void check_devices(std::string_view text) {
  v1::stats::Metrics metrics;
  auto& entries = *metrics.mutable_blkio()->mutable_io_serviced_recursive();
  v1::parse_blkio(cut(text, '\0'), entries);
  v1::name_devices(text, entries);
  for (const auto& entry : entries)
    expect(entry.device().empty() || entry.device().starts_with("/dev/"), "a device is in /dev");
  check_message(metrics);
}

void check_pressure(const v2::stats::PSIStats& pressure) {
  for (const auto* data : {&pressure.some(), &pressure.full()})
    for (double average : {data->avg10(), data->avg60(), data->avg300()})
      expect(std::isfinite(average) && average >= 0, "an average is a number");
}

void check_v2(std::string_view text) {
  v2::stats::Metrics metrics;
  v2::parse_cpu_stat(text, *metrics.mutable_cpu());
  v2::parse_memory_stat(text, *metrics.mutable_memory());
  v2::parse_memory_events(text, *metrics.mutable_memory_events());
  v2::parse_pressure(text, *metrics.mutable_cpu()->mutable_psi());
  v2::parse_io_stat(text, *metrics.mutable_io()->mutable_usage());
  parse_rdma(text, *metrics.mutable_rdma()->mutable_limit());
  check_pressure(metrics.cpu().psi());
  check_message(metrics);
}

// /proc/PID/cgroup, and after a zero byte /proc/self/mountinfo.
void check_group(std::string_view text) {
  const std::string_view memberships = cut(text, '\0');
  const bool points_climb = unescape_mount(text).find("..") != std::string::npos;
  for (CgroupVersion version : {CgroupVersion::v1, CgroupVersion::v2}) {
    const Cgroup group = Cgroup::parse(version, memberships, text);
    for (const char* controller : {"", "memory", "devices", "freezer", "name=systemd", "cpuset"}) {
      const std::string& directory = group.directory(controller);
      const bool climbs = directory.find("/../") != std::string::npos || directory.ends_with("/..");
      expect(!climbs || points_climb, "a group does not lie above its mount");
    }
  }
}

void check_names(std::string_view text) {
  const std::string above = non_scope_ancestor(std::string(text));
  expect(!above.ends_with(".scope") && above.size() <= text.size() + 1, "the group above is one");
  const std::string size = huge_page_size(text);
  expect(size.empty() || size.ends_with("B"), "a page size has its unit");
  const std::optional<std::uint64_t> number = parse_number(text);
  if (number && *number > 0)
    expect(parse_number(std::to_string(*number)) == number, "a number is read back");
  expect(parse_limit("max\n", 7) == 7u, "max is no limit");
  parse_limit(text, 7);
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = text_of(data, size);
  constexpr void (*kChecks[])(std::string_view) = {check_v1, check_devices, check_v2, check_group,
                                                   check_names};
  const unsigned choice = take_byte(text);
  kChecks[choice % std::size(kChecks)](text);
  return 0;
}
