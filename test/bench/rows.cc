// SPDX-License-Identifier: Apache-2.0
// The tables of rows and of parts. README.md describes each measurement.
#include <stdexcept>

#include "bench/row.h"

namespace thinshim::bench {
namespace {

Aim times_stock(double most) { return {Aim::Kind::times_stock_at_most, most}; }
Aim at_most(double most) { return {Aim::Kind::at_most, most}; }
Aim faster(double times) { return {Aim::Kind::times_stock_at_least, times}; }

constexpr bool kMore = true;
constexpr bool kChart = true;

}  // namespace

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"life/start-action", "action `start`", "ms", times_stock(0.15), false, kChart},
      {"life/create", "Create", "ms"},
      {"life/start", "Start", "ms"},
      {"life/exit", "exit, until a waiter knows", "ms"},
      {"life/delete", "Delete", "ms"},
      {"life/shutdown", "Shutdown", "ms"},
      {"life/delete-action", "action `delete`, nothing left", "ms", times_stock(0.07), false,
       kChart},
      {"life/whole", "a whole life", "ms"},
      {"life/floor", "its floor: runtime alone", "ms"},
      {"life/floor-create", "of that, mount and create", "ms"},
      {"life/floor-start", "of that, start", "ms"},
      {"life/floor-exit", "of that, the exit", "ms"},
      {"life/floor-delete", "of that, delete and umount", "ms"},
      {"life/share", "the shim's share of a life", "ms", at_most(3)},
      {"life/cpu", "CPU of a life, shim", "ms", {}, false, kChart},
      {"life/runtime-cpu", "CPU of a life, its runtime", "ms"},
      {"crash/delete-action", "action `delete` after a crash", "ms"},
      {"exec/whole", "exec", "ms"},
      {"exec/floor", "its floor: runtime alone", "ms"},
      {"exec/share", "exec above its floor", "ms", at_most(0.5)},
      {"exec/cpu", "CPU of an exec, shim", "ms", {}, false, kChart},
      {"exit/silent", "from a death until Wait is answered", "ms"},
      {"exit/silent-90", "the same, 90th percentile", "ms"},
      {"exit/line", "the same behind a line of output", "ms"},
      {"exit/line-90", "that, 90th percentile", "ms"},
      {"call/kill", "Kill", "ms", times_stock(0.04), false, kChart},
      {"call/pids", "Pids", "ms", times_stock(0.04), false, kChart},
      {"call/state", "State", "ms"},
      {"call/stats", "Stats", "ms"},
      {"call/connect", "Connect", "ms"},
      {"call/nothing", "a call of the client's own", "ms"},
      {"call/ten-clients", "State, ten clients at once", "ms"},
      {"call/stats-cpu", "CPU of a thousand Stats", "ms", times_stock(0.2), false, kChart},
      {"memory/rss", "RSS", "kB", times_stock(0.2), false, kChart},
      {"memory/pss", "PSS", "kB"},
      {"memory/private", "private memory", "kB", times_stock(0.08), false, kChart},
      {"memory/threads", "threads", "", at_most(1), false, kChart},
      {"memory/kernel-stacks", "kernel stacks", "kB"},
      {"memory/execs-rss", "RSS after execs", "kB"},
      {"memory/execs-pss", "PSS after execs", "kB"},
      {"memory/execs-private", "private after execs", "kB"},
      {"memory/execs-threads", "threads after execs", ""},
      {"memory/execs-kernel-stacks", "kernel stacks after execs", "kB"},
      {"memory/execs-growth", "growth of private", "%", at_most(5)},
      {"memory-pod/rss", "RSS, 20 containers", "kB"},
      {"memory-pod/pss", "PSS, 20 containers", "kB"},
      {"memory-pod/private", "private, 20 containers", "kB"},
      {"memory-pod/threads", "threads, 20 containers", ""},
      {"memory-pod/kernel-stacks", "kernel stacks, 20 containers", "kB"},
      {"memory-machine/available", "MemAvailable, shim and container", "kB", times_stock(0.3),
       false, kChart},
      {"idle/wake-ups", "wake-ups while a container runs", "", at_most(0)},
      {"stdout/speed", "stdout", "MB/s", faster(4), kMore, kChart},
      {"stdout/cpu", "stdout, CPU of the shim", "s/GB", at_most(0.1), false, kChart},
      {"stdout-ten/speed", "stdout of ten at once", "MB/s", {}, kMore},
      {"stdout-ten/cpu", "stdout of ten, CPU", "s/GB"},
      {"stdout-lines/speed", "stdout, lines of 100 bytes", "MB/s", {}, kMore},
      {"stdout-lines/cpu", "stdout, lines, CPU", "s/GB"},
      {"terminal/speed", "terminal", "MB/s", {}, kMore},
      {"terminal/cpu", "terminal, CPU", "s/GB"},
      {"busy/state", "State while stdout flows", "ms"},
      {"busy/state-99", "the same, 99th percentile", "ms"},
      {"crowd/time", "many at once: until all run", "s"},
      {"crowd/cpu", "many at once: CPU, shims", "s"},
      {"crowd/all-cpu", "many at once: CPU, whole lives", "s"},
  };
  return table;
}

const std::vector<Part>& parts() {
  static const std::vector<Part> table = {
      {"life", make_life, {10}, {1}},
      {"crash", make_crash, {5}, {1}},
      {"exec", make_exec, {50}, {5}},
      {"exit", make_exits, {50}, {10}},
      {"call", make_calls, {200}, {20}},
      {"memory", make_memory, {1000, 1}, {30, 0.2}},
      {"memory-pod", make_pod_memory, {0, 1}, {0, 0.2}},
      {"memory-machine", make_machine_memory, {1}, {1}},
      {"idle", make_idle, {1, 60}, {1, 2}},
      {"stdout", make_stdout, {1}, {1}},
      {"stdout-ten", make_ten_streams, {1}, {1}},
      {"stdout-lines", make_lines, {1}, {1}},
      {"terminal", make_terminal, {1}, {1}},
      {"busy", make_busy, {1}, {1}},
      {"crowd", make_crowd, {1}, {1}},
  };
  return table;
}

void Samples::add(const std::string& row, double value) {
  for (const Row& known : rows())
    if (known.name == row) return values_[row].push_back(value);
  throw std::logic_error("no row " + row);
}

const std::vector<double>& Samples::of(const std::string& row) const {
  static const std::vector<double> none;
  const auto found = values_.find(row);
  return found == values_.end() ? none : found->second;
}

}  // namespace thinshim::bench
