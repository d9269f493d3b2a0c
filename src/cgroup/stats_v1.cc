// SPDX-License-Identifier: Apache-2.0
#include "cgroup/stats_v1.h"

#include "base/file.h"
#include "base/quote.h"
#include "base/text.h"
#include "cgroup/rdma.h"

namespace thinshim::v1 {
namespace {

using google::protobuf::RepeatedPtrField;

constexpr std::uint64_t kNanosecondsPerTick = 10'000'000;
constexpr std::uint64_t kUnlimited = 0;  // what the stock shim sends for "max"

}  // namespace

void parse_memory_stat(std::string_view text, stats::MemoryStat& result) {
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == "cache") result.set_cache(value);
    if (name == "rss") result.set_rss(value);
    if (name == "rss_huge") result.set_rss_huge(value);
    if (name == "mapped_file") result.set_mapped_file(value);
    if (name == "dirty") result.set_dirty(value);
    if (name == "writeback") result.set_writeback(value);
    if (name == "pgpgin") result.set_pg_pg_in(value);
    if (name == "pgpgout") result.set_pg_pg_out(value);
    if (name == "pgfault") result.set_pg_fault(value);
    if (name == "pgmajfault") result.set_pg_maj_fault(value);
    if (name == "inactive_anon") result.set_inactive_anon(value);
    if (name == "active_anon") result.set_active_anon(value);
    if (name == "inactive_file") result.set_inactive_file(value);
    if (name == "active_file") result.set_active_file(value);
    if (name == "unevictable") result.set_unevictable(value);
    if (name == "hierarchical_memory_limit") result.set_hierarchical_memory_limit(value);
    if (name == "hierarchical_memsw_limit") result.set_hierarchical_swap_limit(value);
    if (name == "total_cache") result.set_total_cache(value);
    if (name == "total_rss") result.set_total_rss(value);
    if (name == "total_rss_huge") result.set_total_rss_huge(value);
    if (name == "total_mapped_file") result.set_total_mapped_file(value);
    if (name == "total_dirty") result.set_total_dirty(value);
    if (name == "total_writeback") result.set_total_writeback(value);
    if (name == "total_pgpgin") result.set_total_pg_pg_in(value);
    if (name == "total_pgpgout") result.set_total_pg_pg_out(value);
    if (name == "total_pgfault") result.set_total_pg_fault(value);
    if (name == "total_pgmajfault") result.set_total_pg_maj_fault(value);
    if (name == "total_inactive_anon") result.set_total_inactive_anon(value);
    if (name == "total_active_anon") result.set_total_active_anon(value);
    if (name == "total_inactive_file") result.set_total_inactive_file(value);
    if (name == "total_active_file") result.set_total_active_file(value);
    if (name == "total_unevictable") result.set_total_unevictable(value);
  });
}

void parse_oom_control(std::string_view text, stats::MemoryOomControl& result) {
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == "oom_kill_disable") result.set_oom_kill_disable(value);
    if (name == "under_oom") result.set_under_oom(value);
    if (name == "oom_kill") result.set_oom_kill(value);
  });
}

void parse_cpuacct_stat(std::string_view text, stats::CPUUsage& result) {
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == "user") result.set_user(value * kNanosecondsPerTick);
    if (name == "system") result.set_kernel(value * kNanosecondsPerTick);
  });
}

void parse_usage_percpu(std::string_view text, stats::CPUUsage& result) {
  std::string_view line = cut(text, '\n');
  for (std::string_view word = cut_word(line); !word.empty(); word = cut_word(line))
    if (std::optional<std::uint64_t> value = parse_number(word)) result.add_per_cpu(*value);
}

void parse_cpu_stat(std::string_view text, stats::Throttle& result) {
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == "nr_periods") result.set_periods(value);
    if (name == "nr_throttled") result.set_throttled_periods(value);
    if (name == "throttled_time") result.set_throttled_time(value);
  });
}

// Lines "MAJOR:MINOR OPERATION VALUE", or without an operation. The sum at the end has no device
// and is skipped.
void parse_blkio(std::string_view text, RepeatedPtrField<stats::BlkIOEntry>& result) {
  each_line(text, [&](std::string_view line) {
    std::string_view minor = cut_word(line);
    std::optional<std::uint64_t> major_number = parse_number(cut(minor, ':'));
    std::optional<std::uint64_t> minor_number = parse_number(minor);
    std::string_view operation = cut_word(line);
    std::string_view value = cut_word(line);
    if (value.empty()) std::swap(operation, value);
    std::optional<std::uint64_t> number = parse_number(value);
    if (!major_number || !minor_number || !number || !is_utf8(operation)) return;
    stats::BlkIOEntry& entry = *result.Add();
    entry.set_op(std::string(operation));
    entry.set_major(*major_number);
    entry.set_minor(*minor_number);
    entry.set_value(*number);
  });
}

// Lines "MAJOR MINOR BLOCKS NAME" below a heading.
void name_devices(std::string_view partitions, RepeatedPtrField<stats::BlkIOEntry>& entries) {
  each_line(partitions, [&](std::string_view line) {
    std::optional<std::uint64_t> major = parse_number(cut_word(line));
    std::optional<std::uint64_t> minor = parse_number(cut_word(line));
    cut_word(line);
    std::string_view name = cut_word(line);
    if (!major || !minor || name.empty() || !is_utf8(name)) return;
    for (stats::BlkIOEntry& entry : entries)
      if (entry.major() == *major && entry.minor() == *minor && entry.device().empty())
        entry.set_device(join_path("/dev", name));
  });
}

Files::Files(const Cgroup& group)
    : memory_(group.directory("memory")),
      cpu_(group.directory("cpu")),
      cpuacct_(group.directory("cpuacct")),
      blkio_(group.directory("blkio")),
      pids_(group.directory("pids")),
      hugetlb_(group.directory("hugetlb")),
      rdma_(group.directory("rdma")) {
  if (hugetlb_) huge_page_sizes_ = huge_page_sizes();
}

void Files::read(stats::Metrics& metrics) const {
  std::string buffer;
  read_cpu(*metrics.mutable_cpu(), buffer);
  if (memory_) read_memory(metrics, buffer);
  if (blkio_) read_blkio(*metrics.mutable_blkio(), buffer);
  if (pids_) {
    metrics.mutable_pids()->set_current(pids_.number("pids.current", kUnlimited, buffer));
    metrics.mutable_pids()->set_limit(pids_.number("pids.max", kUnlimited, buffer));
  }
  read_hugetlb(metrics, buffer);
  if (auto text = rdma_.read("rdma.current", buffer))
    parse_rdma(*text, *metrics.mutable_rdma()->mutable_current());
  if (auto text = rdma_.read("rdma.max", buffer))
    parse_rdma(*text, *metrics.mutable_rdma()->mutable_limit());
}

// The stock shim always sends both parts.
void Files::read_cpu(stats::CPUStat& cpu, std::string& buffer) const {
  stats::CPUUsage& usage = *cpu.mutable_usage();
  usage.set_total(cpuacct_.number("cpuacct.usage", kUnlimited, buffer));
  if (auto text = cpuacct_.read("cpuacct.stat", buffer)) parse_cpuacct_stat(*text, usage);
  if (auto text = cpuacct_.read("cpuacct.usage_percpu", buffer)) parse_usage_percpu(*text, usage);
  stats::Throttle& throttling = *cpu.mutable_throttling();
  if (auto text = cpu_.read("cpu.stat", buffer)) parse_cpu_stat(*text, throttling);
}

void Files::read_memory(stats::Metrics& metrics, std::string& buffer) const {
  std::optional<std::string_view> text = memory_.read("memory.stat", buffer);
  if (!text) return;
  stats::MemoryStat& memory = *metrics.mutable_memory();
  parse_memory_stat(*text, memory);
  auto read_entry = [&](const std::string& prefix, stats::MemoryEntry& entry) {
    entry.set_limit(memory_.number(prefix + "limit_in_bytes", kUnlimited, buffer));
    entry.set_usage(memory_.number(prefix + "usage_in_bytes", kUnlimited, buffer));
    entry.set_max(memory_.number(prefix + "max_usage_in_bytes", kUnlimited, buffer));
    entry.set_failcnt(memory_.number(prefix + "failcnt", kUnlimited, buffer));
  };
  read_entry("memory.", *memory.mutable_usage());
  read_entry("memory.memsw.", *memory.mutable_swap());
  read_entry("memory.kmem.", *memory.mutable_kernel());
  read_entry("memory.kmem.tcp.", *memory.mutable_kernel_tcp());
  if (auto control = memory_.read("memory.oom_control", buffer))
    parse_oom_control(*control, *metrics.mutable_memory_oom_control());
}

// Only the CFQ scheduler of old kernels has the full counters; else the throttle counters are used.
void Files::read_blkio(stats::BlkIOStat& blkio, std::string& buffer) const {
  using Entries = RepeatedPtrField<stats::BlkIOEntry>;
  struct Source {
    const char* file;
    Entries& entries;
  };
  const Source full[] = {
      {"blkio.sectors_recursive", *blkio.mutable_sectors_recursive()},
      {"blkio.io_service_bytes_recursive", *blkio.mutable_io_service_bytes_recursive()},
      {"blkio.io_serviced_recursive", *blkio.mutable_io_serviced_recursive()},
      {"blkio.io_queued_recursive", *blkio.mutable_io_queued_recursive()},
      {"blkio.io_service_time_recursive", *blkio.mutable_io_service_time_recursive()},
      {"blkio.io_wait_time_recursive", *blkio.mutable_io_wait_time_recursive()},
      {"blkio.io_merged_recursive", *blkio.mutable_io_merged_recursive()},
      {"blkio.time_recursive", *blkio.mutable_io_time_recursive()}};
  const Source throttle[] = {
      {"blkio.throttle.io_serviced", *blkio.mutable_io_serviced_recursive()},
      {"blkio.throttle.io_service_bytes", *blkio.mutable_io_service_bytes_recursive()}};
  int found = 0;
  auto read_source = [&](const Source& source) {
    if (auto text = blkio_.read(source.file, buffer)) parse_blkio(*text, source.entries);
    found += source.entries.size();
  };
  for (const Source& source : full) read_source(source);
  if (found == 0)
    for (const Source& source : throttle) read_source(source);
  if (found == 0) return;
  std::optional<std::string> partitions = read_file("/proc/partitions");
  if (!partitions) return;
  for (const Source& source : full) name_devices(*partitions, source.entries);
}

void Files::read_hugetlb(stats::Metrics& metrics, std::string& buffer) const {
  for (const std::string& size : huge_page_sizes_) {
    stats::HugetlbStat& entry = *metrics.add_hugetlb();
    std::string prefix = "hugetlb." + size + ".";
    entry.set_pagesize(size);
    entry.set_usage(hugetlb_.number(prefix + "usage_in_bytes", kUnlimited, buffer));
    entry.set_max(hugetlb_.number(prefix + "max_usage_in_bytes", kUnlimited, buffer));
    entry.set_failcnt(hugetlb_.number(prefix + "failcnt", kUnlimited, buffer));
  }
}

}  // namespace thinshim::v1
