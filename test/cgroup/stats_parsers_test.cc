// SPDX-License-Identifier: Apache-2.0
// The parsers of the kernel's files.
#include <gtest/gtest.h>

#include <string>

#include "blkio_text.h"
#include "cgroup/rdma.h"
#include "cgroup/stats.h"

namespace thinshim {
namespace {

using test::BlkioEntries;
using test::text_of;

// A line of a file and its field. Tests parse a text of all lines, each with a different number.
template <class Message>
struct Field {
  const char* name;
  std::uint64_t (Message::*get)() const;
};

template <class Message, std::size_t N>
void expect_fields(const Field<Message> (&fields)[N],
                   void (*parse)(std::string_view, Message& result), std::uint64_t factor = 1) {
  std::string text = "unknown 1\n";
  for (std::size_t i = 0; i < N; ++i)
    text += std::string(fields[i].name) + " " + std::to_string(1'000'000'000'000 + i) + "\n";
  Message message;
  parse(text + "not a number\nodd\n\nother 1 2 3\n", message);
  for (std::size_t i = 0; i < N; ++i)
    EXPECT_EQ((message.*fields[i].get)(), (1'000'000'000'000 + i) * factor) << fields[i].name;
}

TEST(StatsV1, MemoryStatFillsEveryField) {
  using M = v1::stats::MemoryStat;
  static const Field<M> kFields[] = {
      {"cache", &M::cache},
      {"rss", &M::rss},
      {"rss_huge", &M::rss_huge},
      {"mapped_file", &M::mapped_file},
      {"dirty", &M::dirty},
      {"writeback", &M::writeback},
      {"pgpgin", &M::pg_pg_in},
      {"pgpgout", &M::pg_pg_out},
      {"pgfault", &M::pg_fault},
      {"pgmajfault", &M::pg_maj_fault},
      {"inactive_anon", &M::inactive_anon},
      {"active_anon", &M::active_anon},
      {"inactive_file", &M::inactive_file},
      {"active_file", &M::active_file},
      {"unevictable", &M::unevictable},
      {"hierarchical_memory_limit", &M::hierarchical_memory_limit},
      {"hierarchical_memsw_limit", &M::hierarchical_swap_limit},
      {"total_cache", &M::total_cache},
      {"total_rss", &M::total_rss},
      {"total_rss_huge", &M::total_rss_huge},
      {"total_mapped_file", &M::total_mapped_file},
      {"total_dirty", &M::total_dirty},
      {"total_writeback", &M::total_writeback},
      {"total_pgpgin", &M::total_pg_pg_in},
      {"total_pgpgout", &M::total_pg_pg_out},
      {"total_pgfault", &M::total_pg_fault},
      {"total_pgmajfault", &M::total_pg_maj_fault},
      {"total_inactive_anon", &M::total_inactive_anon},
      {"total_active_anon", &M::total_active_anon},
      {"total_inactive_file", &M::total_inactive_file},
      {"total_active_file", &M::total_active_file},
      {"total_unevictable", &M::total_unevictable},
  };
  expect_fields(kFields, &v1::parse_memory_stat);
}

TEST(StatsV1, OomControlFillsEveryField) {
  using M = v1::stats::MemoryOomControl;
  static const Field<M> kFields[] = {{"oom_kill_disable", &M::oom_kill_disable},
                                     {"under_oom", &M::under_oom},
                                     {"oom_kill", &M::oom_kill}};
  expect_fields(kFields, &v1::parse_oom_control);
}

TEST(StatsV1, CpuFilesFillEveryField) {
  using T = v1::stats::Throttle;
  static const Field<T> kThrottle[] = {{"nr_periods", &T::periods},
                                       {"nr_throttled", &T::throttled_periods},
                                       {"throttled_time", &T::throttled_time}};
  expect_fields(kThrottle, &v1::parse_cpu_stat);
  using U = v1::stats::CPUUsage;
  static const Field<U> kUsage[] = {{"user", &U::user}, {"system", &U::kernel}};
  expect_fields(kUsage, &v1::parse_cpuacct_stat, 10'000'000);
  U usage;
  v1::parse_usage_percpu("8669976 0 22109205 \n", usage);
  ASSERT_EQ(usage.per_cpu_size(), 3);
  EXPECT_EQ(usage.per_cpu(0), 8669976u);
  EXPECT_EQ(usage.per_cpu(1), 0u);
  EXPECT_EQ(usage.per_cpu(2), 22109205u);
}

TEST(StatsV1, BlkioKeepsEachOperationOfEachDevice) {
  BlkioEntries entries;
  v1::parse_blkio(
      "8:0 Read 100\n8:0 Total 150\n259:7 Write 18446744073709551615\n8:16 42\n"
      "Total 150\n8:0 Read\n:\nx:y Read 3\n",
      entries);
  v1::name_devices(
      "major minor  #blocks  name\n\n   8        0  268435456 sda\n"
      " 259        7       1024 nvme0n1p7\n   8        0  1 second\n",
      entries);
  EXPECT_EQ(text_of(entries),
            "8:0 'Read' 100 /dev/sda\n8:0 'Total' 150 /dev/sda\n"
            "259:7 'Write' 18446744073709551615 /dev/nvme0n1p7\n8:16 '' 42 \n");
}

TEST(StatsV2, CpuStatFillsEveryField) {
  using M = v2::stats::CPUStat;
  static const Field<M> kFields[] = {
      {"usage_usec", &M::usage_usec},     {"user_usec", &M::user_usec},
      {"system_usec", &M::system_usec},   {"nr_periods", &M::nr_periods},
      {"nr_throttled", &M::nr_throttled}, {"throttled_usec", &M::throttled_usec},
      {"nr_bursts", &M::nr_bursts},       {"burst_usec", &M::burst_usec}};
  expect_fields(kFields, &v2::parse_cpu_stat);
}

TEST(StatsV2, MemoryStatFillsEveryField) {
  using M = v2::stats::MemoryStat;
  static const Field<M> kFields[] = {
      {"anon", &M::anon},
      {"file", &M::file},
      {"kernel_stack", &M::kernel_stack},
      {"slab", &M::slab},
      {"sock", &M::sock},
      {"shmem", &M::shmem},
      {"file_mapped", &M::file_mapped},
      {"file_dirty", &M::file_dirty},
      {"file_writeback", &M::file_writeback},
      {"anon_thp", &M::anon_thp},
      {"inactive_anon", &M::inactive_anon},
      {"active_anon", &M::active_anon},
      {"inactive_file", &M::inactive_file},
      {"active_file", &M::active_file},
      {"unevictable", &M::unevictable},
      {"slab_reclaimable", &M::slab_reclaimable},
      {"slab_unreclaimable", &M::slab_unreclaimable},
      {"pgfault", &M::pgfault},
      {"pgmajfault", &M::pgmajfault},
      {"workingset_refault", &M::workingset_refault},
      {"workingset_refault_anon", &M::workingset_refault_anon},
      {"workingset_refault_file", &M::workingset_refault_file},
      {"workingset_activate", &M::workingset_activate},
      {"workingset_activate_anon", &M::workingset_activate_anon},
      {"workingset_activate_file", &M::workingset_activate_file},
      {"workingset_nodereclaim", &M::workingset_nodereclaim},
      {"pgrefill", &M::pgrefill},
      {"pgscan", &M::pgscan},
      {"pgsteal", &M::pgsteal},
      {"pgactivate", &M::pgactivate},
      {"pgdeactivate", &M::pgdeactivate},
      {"pglazyfree", &M::pglazyfree},
      {"pglazyfreed", &M::pglazyfreed},
      {"thp_fault_alloc", &M::thp_fault_alloc},
      {"thp_collapse_alloc", &M::thp_collapse_alloc},
  };
  expect_fields(kFields, &v2::parse_memory_stat);
}

TEST(StatsV2, MemoryEventsFillEveryField) {
  using M = v2::stats::MemoryEvents;
  static const Field<M> kFields[] = {
      {"low", &M::low}, {"high", &M::high},         {"max", &M::max},
      {"oom", &M::oom}, {"oom_kill", &M::oom_kill}, {"oom_group_kill", &M::oom_group_kill}};
  expect_fields(kFields, &v2::parse_memory_events);
}

TEST(StatsV2, PressureIsReadToTheHundredth) {
  v2::stats::PSIStats pressure;
  v2::parse_pressure(
      "some avg10=0.29 avg60=99.99 avg300=100.00 total=18446744073709551615\n"
      "full avg10=0.00 avg60=1.05 avg300=7 total=12\nother avg10=5.00\n\n",
      pressure);
  EXPECT_EQ(pressure.some().avg10(), 0.29);
  EXPECT_EQ(pressure.some().avg60(), 99.99);
  EXPECT_EQ(pressure.some().avg300(), 100.0);
  EXPECT_EQ(pressure.some().total(), UINT64_MAX);
  EXPECT_EQ(pressure.full().avg10(), 0.0);
  EXPECT_EQ(pressure.full().avg60(), 1.05);
  EXPECT_EQ(pressure.full().avg300(), 7.0);
  EXPECT_EQ(pressure.full().total(), 12u);
}

TEST(StatsV2, PressureIsANumberHoweverManyDigitsItHas) {
  v2::stats::PSIStats pressure;
  v2::parse_pressure("some avg10=0." + std::string(400, '3') + " avg60=1." + std::string(400, '0'),
                     pressure);
  EXPECT_EQ(pressure.some().avg10(), 0.333333333);
  EXPECT_EQ(pressure.some().avg60(), 1.0);
}

TEST(StatsV2, IoStatKeepsEachDevice) {
  google::protobuf::RepeatedPtrField<v2::stats::IOEntry> entries;
  v2::parse_io_stat(
      "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=5 dios=6\n"
      "254:0 rbytes=1 odd wios=x\n259:1 \nno device\n",
      entries);
  ASSERT_EQ(entries.size(), 3);
  EXPECT_EQ(entries[0].major(), 8u);
  EXPECT_EQ(entries[0].minor(), 16u);
  EXPECT_EQ(entries[0].rbytes(), 1459200u);
  EXPECT_EQ(entries[0].wbytes(), 314773504u);
  EXPECT_EQ(entries[0].rios(), 192u);
  EXPECT_EQ(entries[0].wios(), 353u);
  EXPECT_EQ(entries[1].rbytes(), 1u);
  EXPECT_EQ(entries[1].wios(), 0u);
  EXPECT_EQ(entries[2].minor(), 1u);
}

TEST(Stats, RdmaKeepsEachDevice) {
  google::protobuf::RepeatedPtrField<v1::stats::RdmaEntry> entries;
  parse_rdma("mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n\n",
             entries);
  ASSERT_EQ(entries.size(), 2);
  EXPECT_EQ(entries[0].device(), "mlx4_0");
  EXPECT_EQ(entries[0].hca_handles(), 2u);
  EXPECT_EQ(entries[0].hca_objects(), 2000u);
  EXPECT_EQ(entries[1].hca_handles(), 3u);
  EXPECT_EQ(entries[1].hca_objects(), UINT32_MAX);
}

// A Go client cannot decode a message with such a string.
TEST(Stats, NamesThatAreNoUtf8CostOnlyTheirLine) {
  google::protobuf::RepeatedPtrField<v1::stats::RdmaEntry> devices;
  parse_rdma("\xff\xfe hca_handle=1\nmlx4_0 hca_handle=2\n", devices);
  ASSERT_EQ(devices.size(), 1);
  EXPECT_EQ(devices[0].device(), "mlx4_0");

  BlkioEntries entries;
  v1::parse_blkio(
      "8:0 R\xe4"
      "d 1\n8:0 Read 2\n8:16 3\n",
      entries);
  v1::name_devices("8 0 1 sd\xe4\n8 16 1 sdb\n", entries);
  EXPECT_EQ(text_of(entries), "8:0 'Read' 2 \n8:16 '' 3 /dev/sdb\n");
}

TEST(Stats, HugePageSizesAreNamedAsTheFilesAre) {
  EXPECT_EQ(huge_page_size("hugepages-64kB"), "64KB");
  EXPECT_EQ(huge_page_size("hugepages-2048kB"), "2MB");
  EXPECT_EQ(huge_page_size("hugepages-1048576kB"), "1GB");
  EXPECT_EQ(huge_page_size("hugepages-kB"), "");
  EXPECT_EQ(huge_page_size("hugepages-2048"), "");
  EXPECT_EQ(huge_page_size(".."), "");
}

}  // namespace
}  // namespace thinshim
