// SPDX-License-Identifier: Apache-2.0
#include "bench/costs.h"

#include <time.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/error.h"

namespace thinshim::bench {
namespace {

namespace fs = std::filesystem;

// The number in a line "NAME: NUMBER ..." of a file of /proc.
double field(const fs::path& file, const std::string& name) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name + ":", 0) != 0) continue;
    std::istringstream rest(line.substr(name.size() + 1));
    double value = 0;
    if (rest >> value) return value;
  }
  throw Error::not_found(name + " in " + file.string());
}

fs::path proc(pid_t pid) { return fs::path("/proc") / std::to_string(pid); }

}  // namespace

double cpu_milliseconds(pid_t pid) {
  clockid_t clock{};
  const int failure = ::clock_getcpuclockid(pid, &clock);
  if (failure != 0) throw_errno("CPU clock of " + std::to_string(pid), failure);
  timespec time{};
  check(::clock_gettime(clock, &time), "read a CPU clock");
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

double cpu_milliseconds(const rusage& usage) {
  const auto milliseconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
}

Memory memory_of(pid_t pid) {
  const fs::path rollup = proc(pid) / "smaps_rollup";
  Memory memory;
  memory.resident = field(rollup, "Rss");
  memory.proportional = field(rollup, "Pss");
  memory.private_dirty = field(rollup, "Private_Dirty");
  memory.threads = field(proc(pid) / "status", "Threads");
  memory.kernel_stacks = memory.threads * 16;
  return memory;
}

double available_memory() { return field("/proc/meminfo", "MemAvailable"); }

double switches_of(pid_t pid) {
  double sum = 0;
  for (const auto& thread : fs::directory_iterator(proc(pid) / "task"))
    sum += field(thread.path() / "status", "voluntary_ctxt_switches");
  return sum;
}

}  // namespace thinshim::bench
