// SPDX-License-Identifier: Apache-2.0
#include "cgroup/stats.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "blkio_text.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::TempDir;
using test::text_of;

// A directory with the layout of a cgroup mount, with a cgroup c1 in it.
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

TEST_F(GroupInADirectory, V1MetricsComeFromEveryController) {
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
  EXPECT_EQ(text_of(metrics.blkio().io_serviced_recursive()), "0:77 'Read' 30 \n");
  EXPECT_EQ(text_of(metrics.blkio().io_service_bytes_recursive()), "0:77 'Read' 31 \n");
}

TEST_F(GroupInADirectory, V1TakesTheFullCountOfBlkioWhereThereIsOne) {
  int next = 1;
  for (const char* file : {"sectors", "io_service_bytes", "io_serviced", "io_queued",
                           "io_service_time", "io_wait_time", "io_merged", "time"})
    write(std::string("blkio/c1/blkio.") + file + "_recursive",
          "0:77 Read " + std::to_string(next++) + "\n");
  write("blkio/c1/blkio.throttle.io_serviced", "0:77 Read 30\n");
  v1::stats::BlkIOStat blkio = read_v1().blkio();
  EXPECT_EQ(text_of(blkio.sectors_recursive()), "0:77 'Read' 1 \n");
  EXPECT_EQ(text_of(blkio.io_service_bytes_recursive()), "0:77 'Read' 2 \n");
  EXPECT_EQ(text_of(blkio.io_serviced_recursive()), "0:77 'Read' 3 \n");
  EXPECT_EQ(text_of(blkio.io_queued_recursive()), "0:77 'Read' 4 \n");
  EXPECT_EQ(text_of(blkio.io_service_time_recursive()), "0:77 'Read' 5 \n");
  EXPECT_EQ(text_of(blkio.io_wait_time_recursive()), "0:77 'Read' 6 \n");
  EXPECT_EQ(text_of(blkio.io_merged_recursive()), "0:77 'Read' 7 \n");
  EXPECT_EQ(text_of(blkio.io_time_recursive()), "0:77 'Read' 8 \n");
}

// v1 without swap accounting: the files after the missing ones are read.
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

TEST_F(GroupInADirectory, V2MetricsComeFromEveryFile) {
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

// Machines with many processors: larger than the first buffer.
TEST_F(GroupInADirectory, LongFilesAreReadToTheirEnd) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(1'000'000'000 + i) + " ";
  write("cpuacct/c1/cpuacct.usage_percpu", text + "\n");
  v1::stats::Metrics metrics = read_v1();
  ASSERT_EQ(metrics.cpu().usage().per_cpu_size(), 5000);
  EXPECT_EQ(metrics.cpu().usage().per_cpu(4999), 1'000'004'999u);
}

TEST_F(GroupInADirectory, ARemovedGroupHasNoMetrics) {
  write("pids/c1/pids.current", "7\n");
  StatsReader reader(group(CgroupVersion::v1));
  std::filesystem::remove_all(dir_ / "pids");
  write("pids/c1/pids.current", "8\n");  // a new cgroup of the same name
  v1::stats::Metrics metrics;
  ASSERT_TRUE(metrics.ParseFromString(reader.read()));
  EXPECT_EQ(metrics.pids().current(), 0u);
}

// The kernel's files, of the cgroup of this test or the root cgroup.
TEST(Stats, OfThisProcessAreThere) {
  Cgroup group = Cgroup::of_process(::getpid());
  StatsReader reader(group);
  std::string message = reader.read();
  EXPECT_FALSE(message.empty());
}

}  // namespace
}  // namespace thinshim
