// SPDX-License-Identifier: Apache-2.0
// Processes that run orders. A worker that crashes or hangs in an order is replaced; that order has
// a finding.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "orders/checker.h"
#include "orders/step.h"

namespace thinshim::orders {

struct Result {
  Order order = {};
  std::vector<Step> next = {};  // the steps that are possible after it
  std::vector<Finding> findings = {};
  std::uint64_t fingerprint = 0;  // of the trace after its last step (fingerprint.h)
  bool is_possible = true;        // false if a step was not possible at its turn
};

// Runs the order in this process, after prepare_process().
Result run_order(const Order& order, const std::string& directory, Trace* trace = nullptr);
// Runs `length` random steps after a random setup.
Result run_random_order(std::uint64_t seed, std::size_t length, const std::string& directory);

class WorkerPool {
 public:
  // The workers use `directory`.
  WorkerPool(std::size_t size, std::string directory);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs what `next` returns until it returns nothing; returns when all results were taken. A job
  // is an order in words, or "random SEED LENGTH".
  using Next = std::function<std::optional<std::string>()>;
  using Take = std::function<void(Result)>;
  void run_all(Next next, Take take);
  Result run(const Order& order);

 private:
  struct Worker {
    pid_t pid = -1;
    Fd socket;
    std::string job;
    bool is_busy = false;
  };
  void start(Worker& worker);
  void take_result(Worker& worker, const Take& take);

  std::string directory_;
  std::vector<Worker> workers_;
};

}  // namespace thinshim::orders
