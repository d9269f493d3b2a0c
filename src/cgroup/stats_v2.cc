// SPDX-License-Identifier: Apache-2.0
#include "cgroup/stats_v2.h"

#include "base/text.h"
#include "cgroup/rdma.h"

namespace thinshim::v2 {
namespace {

using google::protobuf::RepeatedPtrField;

constexpr std::uint64_t kUnlimited = UINT64_MAX;  // what the stock shim sends for "max"

// "12.34". Both parts are small enough for the division to give the nearest double.
double parse_decimal(std::string_view text) {
  constexpr std::size_t kDigits = 9;
  std::string_view whole = cut(text, '.');
  text = text.substr(0, kDigits);
  double scale = 1;
  for (std::size_t i = 0; i < text.size(); ++i) scale *= 10;
  double units = static_cast<double>(parse_number(whole).value_or(0));
  return (units * scale + static_cast<double>(parse_number(text).value_or(0))) / scale;
}

}  // namespace

void parse_cpu_stat(std::string_view text, stats::CPUStat& result) {
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == "usage_usec") result.set_usage_usec(value);
    if (name == "user_usec") result.set_user_usec(value);
    if (name == "system_usec") result.set_system_usec(value);
    if (name == "nr_periods") result.set_nr_periods(value);
    if (name == "nr_throttled") result.set_nr_throttled(value);
    if (name == "throttled_usec") result.set_throttled_usec(value);
    if (name == "nr_bursts") result.set_nr_bursts(value);
    if (name == "burst_usec") result.set_burst_usec(value);
  });
}

void parse_memory_stat(std::string_view text, stats::MemoryStat& result) {
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == "anon") result.set_anon(value);
    if (name == "file") result.set_file(value);
    if (name == "kernel_stack") result.set_kernel_stack(value);
    if (name == "slab") result.set_slab(value);
    if (name == "sock") result.set_sock(value);
    if (name == "shmem") result.set_shmem(value);
    if (name == "file_mapped") result.set_file_mapped(value);
    if (name == "file_dirty") result.set_file_dirty(value);
    if (name == "file_writeback") result.set_file_writeback(value);
    if (name == "anon_thp") result.set_anon_thp(value);
    if (name == "inactive_anon") result.set_inactive_anon(value);
    if (name == "active_anon") result.set_active_anon(value);
    if (name == "inactive_file") result.set_inactive_file(value);
    if (name == "active_file") result.set_active_file(value);
    if (name == "unevictable") result.set_unevictable(value);
    if (name == "slab_reclaimable") result.set_slab_reclaimable(value);
    if (name == "slab_unreclaimable") result.set_slab_unreclaimable(value);
    if (name == "pgfault") result.set_pgfault(value);
    if (name == "pgmajfault") result.set_pgmajfault(value);
    if (name == "workingset_refault") result.set_workingset_refault(value);
    if (name == "workingset_refault_anon") result.set_workingset_refault_anon(value);
    if (name == "workingset_refault_file") result.set_workingset_refault_file(value);
    if (name == "workingset_activate") result.set_workingset_activate(value);
    if (name == "workingset_activate_anon") result.set_workingset_activate_anon(value);
    if (name == "workingset_activate_file") result.set_workingset_activate_file(value);
    if (name == "workingset_nodereclaim") result.set_workingset_nodereclaim(value);
    if (name == "pgrefill") result.set_pgrefill(value);
    if (name == "pgscan") result.set_pgscan(value);
    if (name == "pgsteal") result.set_pgsteal(value);
    if (name == "pgactivate") result.set_pgactivate(value);
    if (name == "pgdeactivate") result.set_pgdeactivate(value);
    if (name == "pglazyfree") result.set_pglazyfree(value);
    if (name == "pglazyfreed") result.set_pglazyfreed(value);
    if (name == "thp_fault_alloc") result.set_thp_fault_alloc(value);
    if (name == "thp_collapse_alloc") result.set_thp_collapse_alloc(value);
  });
}

void parse_memory_events(std::string_view text, stats::MemoryEvents& result) {
  each_value(text, [&](std::string_view name, std::uint64_t value) {
    if (name == "low") result.set_low(value);
    if (name == "high") result.set_high(value);
    if (name == "max") result.set_max(value);
    if (name == "oom") result.set_oom(value);
    if (name == "oom_kill") result.set_oom_kill(value);
    if (name == "oom_group_kill") result.set_oom_group_kill(value);
  });
}

// Lines "some avg10=0.00 avg60=0.12 avg300=0.05 total=1234", and the same for "full".
void parse_pressure(std::string_view text, stats::PSIStats& result) {
  each_line(text, [&](std::string_view line) {
    std::string_view kind = cut_word(line);
    if (kind != "some" && kind != "full") return;
    stats::PSIData& data = kind == "some" ? *result.mutable_some() : *result.mutable_full();
    each_pair(line, [&](std::string_view name, std::string_view value) {
      if (name == "avg10") data.set_avg10(parse_decimal(value));
      if (name == "avg60") data.set_avg60(parse_decimal(value));
      if (name == "avg300") data.set_avg300(parse_decimal(value));
      if (name == "total") data.set_total(parse_number(value).value_or(0));
    });
  });
}

// Lines "MAJOR:MINOR rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
void parse_io_stat(std::string_view text, RepeatedPtrField<stats::IOEntry>& result) {
  each_line(text, [&](std::string_view line) {
    std::string_view minor = cut_word(line);
    std::optional<std::uint64_t> major_number = parse_number(cut(minor, ':'));
    std::optional<std::uint64_t> minor_number = parse_number(minor);
    if (!major_number || !minor_number) return;
    stats::IOEntry& entry = *result.Add();
    entry.set_major(*major_number);
    entry.set_minor(*minor_number);
    each_pair(line, [&](std::string_view name, std::string_view value) {
      std::uint64_t number = parse_number(value).value_or(0);
      if (name == "rbytes") entry.set_rbytes(number);
      if (name == "wbytes") entry.set_wbytes(number);
      if (name == "rios") entry.set_rios(number);
      if (name == "wios") entry.set_wios(number);
    });
  });
}

Files::Files(const Cgroup& group)
    : files_(group.directory()), huge_page_sizes_(huge_page_sizes()) {}

// The stock shim sends these parts even without their controllers; only the pressure, the events
// and the huge pages may be missing.
void Files::read(stats::Metrics& metrics) const {
  std::string buffer;
  auto read_pressure = [&](const char* file, auto& part) {
    if (auto text = files_.read(file, buffer)) parse_pressure(*text, *part.mutable_psi());
  };
  metrics.mutable_pids()->set_current(files_.number("pids.current", kUnlimited, buffer));
  metrics.mutable_pids()->set_limit(files_.number("pids.max", kUnlimited, buffer));

  stats::CPUStat& cpu = *metrics.mutable_cpu();
  if (auto text = files_.read("cpu.stat", buffer)) parse_cpu_stat(*text, cpu);
  read_pressure("cpu.pressure", cpu);

  read_memory(metrics, buffer);
  read_pressure("memory.pressure", *metrics.mutable_memory());

  stats::IOStat& io = *metrics.mutable_io();
  if (auto text = files_.read("io.stat", buffer)) parse_io_stat(*text, *io.mutable_usage());
  read_pressure("io.pressure", io);

  stats::RdmaStat& rdma = *metrics.mutable_rdma();
  if (auto text = files_.read("rdma.current", buffer)) parse_rdma(*text, *rdma.mutable_current());
  if (auto text = files_.read("rdma.max", buffer)) parse_rdma(*text, *rdma.mutable_limit());
  read_hugetlb(metrics, buffer);
}

void Files::read_memory(stats::Metrics& metrics, std::string& buffer) const {
  stats::MemoryStat& memory = *metrics.mutable_memory();
  if (auto text = files_.read("memory.stat", buffer)) parse_memory_stat(*text, memory);
  memory.set_usage(files_.number("memory.current", kUnlimited, buffer));
  memory.set_usage_limit(files_.number("memory.max", kUnlimited, buffer));
  memory.set_max_usage(files_.number("memory.peak", kUnlimited, buffer));
  memory.set_swap_usage(files_.number("memory.swap.current", kUnlimited, buffer));
  memory.set_swap_limit(files_.number("memory.swap.max", kUnlimited, buffer));
  memory.set_swap_max_usage(files_.number("memory.swap.peak", kUnlimited, buffer));
  if (auto text = files_.read("memory.events", buffer))
    parse_memory_events(*text, *metrics.mutable_memory_events());
}

void Files::read_hugetlb(stats::Metrics& metrics, std::string& buffer) const {
  for (const std::string& size : huge_page_sizes_) {
    std::string prefix = "hugetlb." + size + ".";
    if (!files_.read(prefix + "current", buffer)) continue;
    stats::HugeTlbStat& entry = *metrics.add_hugetlb();
    entry.set_pagesize(size);
    entry.set_current(files_.number(prefix + "current", kUnlimited, buffer));
    entry.set_max(files_.number(prefix + "max", kUnlimited, buffer));
    if (auto text = files_.read(prefix + "events", buffer))
      each_value(*text, [&](std::string_view name, std::uint64_t value) {
        if (name == "max") entry.set_failcnt(value);
      });
  }
}

}  // namespace thinshim::v2
