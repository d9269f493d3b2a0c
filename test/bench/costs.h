// SPDX-License-Identifier: Apache-2.0
// The resource usage of a process, from the kernel, and wall-clock time.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>

namespace thinshim::bench {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  double milliseconds() const { return seconds() * 1e3; }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// CPU time of all threads of a process, also of exited ones, without its children; in milliseconds,
// exact to less than a microsecond (/proc/PID/stat counts in ticks of 10 ms). Also of a zombie.
double cpu_milliseconds(pid_t pid);
// Of a process that was waited for, with all children that it has waited for.
double cpu_milliseconds(const rusage& usage);

// In kB, from /proc/PID/smaps_rollup, and the number of threads.
struct Memory {
  double resident = 0;
  double proportional = 0;   // shared memory counts in proportion
  double private_dirty = 0;  // the cost of one more such process
  double threads = 0;
  double kernel_stacks = 0;  // 16 kB a thread on x86-64
};
Memory memory_of(pid_t pid);

// MemAvailable of the machine, kB.
double available_memory();

// How often the threads of the process have gone to sleep, and so were woken: the sum.
double switches_of(pid_t pid);

}  // namespace thinshim::bench
