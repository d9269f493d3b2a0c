// SPDX-License-Identifier: Apache-2.0
#include "cgroup/stats.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "cgroup/rdma.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::TempDir;

// A line of a file and the field it belongs to. A text with all of them and a different number each
// shows whether every number lands where it should.
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

using BlkioEntries = google::protobuf::RepeatedPtrField<v1::stats::BlkIOEntry>;
std::string told(const BlkioEntries& entries) {
  std::string text;
  for (const auto& entry : entries)
    text += std::to_string(entry.major()) + ":" + std::to_string(entry.minor()) + " '" +
            entry.op() + "' " + std::to_string(entry.value()) + " " + entry.device() + "\n";
  return text;
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
  EXPECT_EQ(told(entries),
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

TEST(Stats, HugePageSizesAreNamedAsTheFilesAre) {
  EXPECT_EQ(huge_page_size("hugepages-64kB"), "64KB");
  EXPECT_EQ(huge_page_size("hugepages-2048kB"), "2MB");
  EXPECT_EQ(huge_page_size("hugepages-1048576kB"), "1GB");
  EXPECT_EQ(huge_page_size("hugepages-kB"), "");
  EXPECT_EQ(huge_page_size("hugepages-2048"), "");
  EXPECT_EQ(huge_page_size(".."), "");
}

// A directory that looks like a mount of cgroups, with a group c1 in it.
class GroupInADirectory : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    std::string path = dir_ / name;
    make_directories(directory_of(path), 0700);
    write_file(path, text, 0600);
  }
  Cgroup group(CgroupVersion version) {
    std::string mounts, memberships = "0::/c1\n";
    if (version == CgroupVersion::v2) mounts = "1 2 0:3 / " + dir_.path() + " rw - cgroup2 x rw\n";
    for (const char* name : {"cpu", "cpuacct", "memory", "blkio", "pids", "hugetlb", "rdma"}) {
      if (version == CgroupVersion::v2) break;
      mounts += "1 2 0:3 / " + dir_ / name + " rw - cgroup x rw," + name + "\n";
      memberships += std::string("7:") + name + ":/c1\n";
    }
    return Cgroup::parse(version, memberships, mounts);
  }
  v1::stats::Metrics read_v1() {
    StatsReader reader(group(CgroupVersion::v1));
    EXPECT_EQ(reader.type(), "io.containerd.cgroups.v1.Metrics");
    v1::stats::Metrics metrics;
    EXPECT_TRUE(metrics.ParseFromString(reader.read()));
    return metrics;
  }
  v2::stats::Metrics read_v2() {
    StatsReader reader(group(CgroupVersion::v2));
    EXPECT_EQ(reader.type(), "io.containerd.cgroups.v2.Metrics");
    v2::stats::Metrics metrics;
    EXPECT_TRUE(metrics.ParseFromString(reader.read()));
    return metrics;
  }
  TempDir dir_;
};

TEST_F(GroupInADirectory, V1FiguresComeFromEveryController) {
  write("cpu/c1/cpu.stat", "nr_periods 1\n");
  write("cpuacct/c1/cpuacct.usage", "2\n");
  write("cpuacct/c1/cpuacct.stat", "user 3\nsystem 4\n");
  write("cpuacct/c1/cpuacct.usage_percpu", "5 6\n");
  write("pids/c1/pids.current", "7\n");
  write("pids/c1/pids.max", "max\n");
  write("memory/c1/memory.stat", "cache 8\n");
  write("memory/c1/memory.oom_control", "oom_kill 9\n");
  std::uint64_t next = 10;
  for (const char* kind : {"", "memsw.", "kmem.", "kmem.tcp."})
    for (const char* file : {"limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"})
      write(std::string("memory/c1/memory.") + kind + file, std::to_string(next++) + "\n");
  write("rdma/c1/rdma.current", "a hca_handle=1 hca_object=2\n");
  write("rdma/c1/rdma.max", "a hca_handle=3 hca_object=max\n");
  write("blkio/c1/blkio.throttle.io_serviced", "0:77 Read 30\nTotal 30\n");
  write("blkio/c1/blkio.throttle.io_service_bytes", "0:77 Read 31\nTotal 31\n");
  v1::stats::Metrics metrics = read_v1();
  EXPECT_EQ(metrics.cpu().throttling().periods(), 1u);
  EXPECT_EQ(metrics.cpu().usage().total(), 2u);
  EXPECT_EQ(metrics.cpu().usage().user(), 30'000'000u);
  EXPECT_EQ(metrics.cpu().usage().kernel(), 40'000'000u);
  EXPECT_EQ(metrics.cpu().usage().per_cpu(1), 6u);
  EXPECT_EQ(metrics.pids().current(), 7u);
  EXPECT_EQ(metrics.pids().limit(), 0u);
  EXPECT_EQ(metrics.memory().cache(), 8u);
  EXPECT_EQ(metrics.memory_oom_control().oom_kill(), 9u);
  next = 10;
  for (const auto* entry : {&metrics.memory().usage(), &metrics.memory().swap(),
                            &metrics.memory().kernel(), &metrics.memory().kernel_tcp()}) {
    EXPECT_EQ(entry->limit(), next++);
    EXPECT_EQ(entry->usage(), next++);
    EXPECT_EQ(entry->max(), next++);
    EXPECT_EQ(entry->failcnt(), next++);
  }
  EXPECT_EQ(metrics.rdma().current(0).hca_objects(), 2u);
  EXPECT_EQ(metrics.rdma().limit(0).hca_handles(), 3u);
  EXPECT_EQ(told(metrics.blkio().io_serviced_recursive()), "0:77 'Read' 30 \n");
  EXPECT_EQ(told(metrics.blkio().io_service_bytes_recursive()), "0:77 'Read' 31 \n");
}

TEST_F(GroupInADirectory, V1TakesTheFullCountOfBlkioWhereThereIsOne) {
  int next = 1;
  for (const char* file : {"sectors", "io_service_bytes", "io_serviced", "io_queued",
                           "io_service_time", "io_wait_time", "io_merged", "time"})
    write(std::string("blkio/c1/blkio.") + file + "_recursive",
          "0:77 Read " + std::to_string(next++) + "\n");
  write("blkio/c1/blkio.throttle.io_serviced", "0:77 Read 30\n");
  v1::stats::BlkIOStat blkio = read_v1().blkio();
  EXPECT_EQ(told(blkio.sectors_recursive()), "0:77 'Read' 1 \n");
  EXPECT_EQ(told(blkio.io_service_bytes_recursive()), "0:77 'Read' 2 \n");
  EXPECT_EQ(told(blkio.io_serviced_recursive()), "0:77 'Read' 3 \n");
  EXPECT_EQ(told(blkio.io_queued_recursive()), "0:77 'Read' 4 \n");
  EXPECT_EQ(told(blkio.io_service_time_recursive()), "0:77 'Read' 5 \n");
  EXPECT_EQ(told(blkio.io_wait_time_recursive()), "0:77 'Read' 6 \n");
  EXPECT_EQ(told(blkio.io_merged_recursive()), "0:77 'Read' 7 \n");
  EXPECT_EQ(told(blkio.io_time_recursive()), "0:77 'Read' 8 \n");
}

// v1 without swap accounting; the files after the missing ones count all the same.
TEST_F(GroupInADirectory, V1FilesThatAreMissingLeaveTheOthers) {
  write("memory/c1/memory.stat", "");
  write("memory/c1/memory.kmem.usage_in_bytes", "5\n");
  v1::stats::Metrics metrics = read_v1();
  EXPECT_EQ(metrics.memory().swap().usage(), 0u);
  EXPECT_EQ(metrics.memory().kernel().usage(), 5u);
}

TEST_F(GroupInADirectory, V1PartsAreThereAsTheStockShimSendsThem) {
  v1::stats::Metrics nothing = read_v1();
  EXPECT_TRUE(nothing.cpu().has_usage());
  EXPECT_TRUE(nothing.cpu().has_throttling());
  EXPECT_FALSE(nothing.has_memory());
  EXPECT_FALSE(nothing.has_pids());
  EXPECT_FALSE(nothing.has_blkio());
  write("memory/c1/memory.stat", "");
  write("blkio/c1/x", "");
  v1::stats::Metrics metrics = read_v1();
  EXPECT_TRUE(metrics.memory().has_usage());
  EXPECT_TRUE(metrics.memory().has_swap());
  EXPECT_TRUE(metrics.memory().has_kernel());
  EXPECT_TRUE(metrics.memory().has_kernel_tcp());
  EXPECT_TRUE(metrics.has_blkio());
}

TEST_F(GroupInADirectory, V2FiguresComeFromEveryFile) {
  const char* pressure = "some avg10=1.00 avg60=0.00 avg300=0.00 total=";
  write("c1/pids.current", "1\n");
  write("c1/pids.max", "max\n");
  write("c1/cpu.stat", "usage_usec 2\n");
  write("c1/cpu.pressure", pressure + std::string("3\n"));
  write("c1/memory.stat", "anon 4\n");
  write("c1/memory.pressure", pressure + std::string("5\n"));
  write("c1/memory.current", "6\n");
  write("c1/memory.max", "max\n");
  write("c1/memory.peak", "8\n");
  write("c1/memory.swap.current", "9\n");
  write("c1/memory.swap.max", "10\n");
  write("c1/memory.swap.peak", "11\n");
  write("c1/memory.events", "low 0\noom_kill 12\n");
  write("c1/io.stat", "8:0 rbytes=13\n");
  write("c1/io.pressure", pressure + std::string("14\n"));
  write("c1/rdma.current", "a hca_handle=15 hca_object=0\n");
  write("c1/rdma.max", "a hca_handle=max hca_object=16\n");
  v2::stats::Metrics metrics = read_v2();
  EXPECT_EQ(metrics.pids().current(), 1u);
  EXPECT_EQ(metrics.pids().limit(), UINT64_MAX);
  EXPECT_EQ(metrics.cpu().usage_usec(), 2u);
  EXPECT_EQ(metrics.cpu().psi().some().total(), 3u);
  EXPECT_FALSE(metrics.cpu().psi().has_full());
  EXPECT_EQ(metrics.memory().anon(), 4u);
  EXPECT_EQ(metrics.memory().psi().some().total(), 5u);
  EXPECT_EQ(metrics.memory().usage(), 6u);
  EXPECT_EQ(metrics.memory().usage_limit(), UINT64_MAX);
  EXPECT_EQ(metrics.memory().max_usage(), 8u);
  EXPECT_EQ(metrics.memory().swap_usage(), 9u);
  EXPECT_EQ(metrics.memory().swap_limit(), 10u);
  EXPECT_EQ(metrics.memory().swap_max_usage(), 11u);
  EXPECT_EQ(metrics.memory_events().oom_kill(), 12u);
  EXPECT_EQ(metrics.io().usage(0).rbytes(), 13u);
  EXPECT_EQ(metrics.io().psi().some().total(), 14u);
  EXPECT_EQ(metrics.rdma().current(0).hca_handles(), 15u);
  EXPECT_EQ(metrics.rdma().limit(0).hca_objects(), 16u);
}

TEST_F(GroupInADirectory, V2PartsAreThereAsTheStockShimSendsThem) {
  write("c1/x", "");
  v2::stats::Metrics metrics = read_v2();
  EXPECT_TRUE(metrics.has_pids());
  EXPECT_TRUE(metrics.has_cpu());
  EXPECT_TRUE(metrics.has_memory());
  EXPECT_TRUE(metrics.has_io());
  EXPECT_TRUE(metrics.has_rdma());
  EXPECT_FALSE(metrics.has_memory_events());
  EXPECT_FALSE(metrics.cpu().has_psi());
  EXPECT_EQ(metrics.hugetlb_size(), 0);
}

TEST_F(GroupInADirectory, HugePagesOfThisMachineAreCounted) {
  for (const std::string& size : huge_page_sizes()) {
    write("c1/hugetlb." + size + ".current", "1\n");
    write("c1/hugetlb." + size + ".max", "2\n");
    write("c1/hugetlb." + size + ".events", "max 3\n");
    write("hugetlb/c1/hugetlb." + size + ".usage_in_bytes", "1\n");
    write("hugetlb/c1/hugetlb." + size + ".max_usage_in_bytes", "2\n");
    write("hugetlb/c1/hugetlb." + size + ".failcnt", "3\n");
  }
  v1::stats::Metrics one = read_v1();
  v2::stats::Metrics two = read_v2();
  ASSERT_EQ(one.hugetlb_size(), static_cast<int>(huge_page_sizes().size()));
  ASSERT_EQ(two.hugetlb_size(), static_cast<int>(huge_page_sizes().size()));
  for (int i = 0; i < one.hugetlb_size(); ++i) {
    EXPECT_EQ(one.hugetlb(i).pagesize(), huge_page_sizes()[static_cast<std::size_t>(i)]);
    EXPECT_EQ(one.hugetlb(i).usage(), 1u);
    EXPECT_EQ(one.hugetlb(i).max(), 2u);
    EXPECT_EQ(one.hugetlb(i).failcnt(), 3u);
    EXPECT_EQ(two.hugetlb(i).pagesize(), one.hugetlb(i).pagesize());
    EXPECT_EQ(two.hugetlb(i).current(), 1u);
    EXPECT_EQ(two.hugetlb(i).max(), 2u);
    EXPECT_EQ(two.hugetlb(i).failcnt(), 3u);
  }
}

// Machines with many processors: more than the buffer holds at first.
TEST_F(GroupInADirectory, LongFilesAreReadToTheirEnd) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(1'000'000'000 + i) + " ";
  write("cpuacct/c1/cpuacct.usage_percpu", text + "\n");
  v1::stats::Metrics metrics = read_v1();
  ASSERT_EQ(metrics.cpu().usage().per_cpu_size(), 5000);
  EXPECT_EQ(metrics.cpu().usage().per_cpu(4999), 1'000'004'999u);
}

TEST_F(GroupInADirectory, AGroupThatIsGoneHasNoFigures) {
  write("pids/c1/pids.current", "7\n");
  StatsReader reader(group(CgroupVersion::v1));
  std::filesystem::remove_all(dir_ / "pids");
  write("pids/c1/pids.current", "8\n");  // another group of the same name
  v1::stats::Metrics metrics;
  ASSERT_TRUE(metrics.ParseFromString(reader.read()));
  EXPECT_EQ(metrics.pids().current(), 0u);
}

// The kernel's own files, of whatever group this test runs in or of the root.
TEST(Stats, OfThisProcessAreThere) {
  Cgroup group = Cgroup::of_process(::getpid());
  StatsReader reader(group);
  std::string message = reader.read();
  EXPECT_FALSE(message.empty());
}

}  // namespace
}  // namespace thinshim
