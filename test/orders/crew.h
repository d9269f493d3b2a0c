// SPDX-License-Identifier: Apache-2.0
// Processes that play orders, one after the other each, for a process that says which. One that the
// service takes down with it, or in which something never ends, is replaced, and is a finding.
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
  std::vector<Step> next = {};  // what may come after it
  std::vector<Finding> findings = {};
  std::uint64_t situation = 0;  // when its steps were done (situation.h)
  bool is_playable = true;      // not where a step is not possible when its turn comes
};

// Plays it in this process, which prepare_to_play() has prepared.
Result play(const Order& order, const std::string& directory, Trace* trace = nullptr);
// Begins in some scene, and takes some step that may come next, `length` times.
Result walk(std::uint64_t seed, std::size_t length, const std::string& directory);

class Crew {
 public:
  // `directory` is theirs.
  Crew(std::size_t size, std::string directory);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Has what `next` returns done, until it returns nothing and all is done. Work is an order in
  // words, or "walk SEED LENGTH".
  using Next = std::function<std::optional<std::string>()>;
  using Take = std::function<void(Result)>;
  void work(Next next, Take take);
  Result run(const Order& order);

 private:
  struct Worker {
    pid_t pid = -1;
    Fd socket;
    std::string work;
    bool is_busy = false;
  };
  void start(Worker& worker);
  void finish(Worker& worker, const Take& take);

  std::string directory_;
  std::vector<Worker> workers_;
};

}  // namespace thinshim::orders
