// SPDX-License-Identifier: Apache-2.0
// Every system call of the shim that can fail does so once, each in a life of its own.
#include <algorithm>
#include <cerrno>
#include <iostream>

#include "reliability/fault_calls.h"
#include "reliability/fault_life.h"
#include "reliability/scale.h"

namespace thinshim::test {
namespace {

constexpr int kCleanLives = 4;

constexpr const char* kWanted = "THINSHIM_FAULT";

class Faults : public FaultLifeTest {
 protected:
  using Living = std::function<Life(const std::optional<Fault>&)>;
  struct Tally {
    int runs = 0, errors = 0, successes = 0, deaths = 0, missed = 0;
    std::set<std::string> calls;
  };

  // Each errno of each call at each position; in the quick form one position of each call of a
  // role.
  std::vector<Fault> faults_of(const Injection::Counts& counts) {
    std::vector<Fault> faults;
    for (const auto& [key, count] : counts) {
      const auto& [role, call] = key;
      if (is_sanitized() && sanitizers_make(call)) continue;
      const std::optional<Failures> failures = failures_of_call(call);
      if (!failures) ADD_FAILURE() << "how " << call << " fails: see fault_calls.cc";
      if (!failures || failures->errors.empty()) continue;
      const std::vector<int>& errors = failures->errors;
      const long places = std::min(count, failures->places);
      for (long nth = 1; nth <= places; ++nth)
        for (int error : errors)
          if (is_full() || (nth == (places + 1) / 2 && error == errors.front()))
            faults.push_back({role, call, nth, error});
    }
    return faults;
  }

  static bool sanitizers_make(const std::string& call) {
    for (const char* one :
         {"brk", "madvise", "mmap", "mprotect", "mremap", "munmap", "pipe2", "write(pipe)"})
      if (call == one) return true;
    return !failures_of_call(call);  // only sanitizers make these calls
  }

  // The least number of each call; some depend on the scheduling.
  Injection::Counts calls_of_every(const Living& living) {
    Injection::Counts fewest;
    for (int life = 0; life < kCleanLives; ++life) {
      const Life clean = living(std::nullopt);
      EXPECT_EQ(problems(), Lines());
      EXPECT_EQ(clean.errors, Lines());
      if (life == 0) fewest = clean.report.counts;
      for (auto& [key, count] : fewest) {
        const auto now = clean.report.counts.find(key);
        count = now == clean.report.counts.end() ? 0 : std::min(count, now->second);
      }
    }
    return fewest;
  }

  static bool is_full() { return scaled(0, 1) == 1; }

  // For debugging: only faults whose description contains $THINSHIM_FAULT.
  static bool is_wanted(const Fault& fault) {
    const char* words = std::getenv(kWanted);
    return words == nullptr || fault.in_words().find(words) != std::string::npos;
  }

  void print_if_wanted(const Life& life) {
    if (std::getenv(kWanted) == nullptr) return;
    std::cout << "[" << life.title << "] " << life.report.injected << (life.died ? " DIED" : "")
              << (life.report.crashed.empty() ? "" : " crash of " + life.report.crashed) << "\n";
    for (const std::string& error : life.errors) std::cout << "    " << error << "\n";
  }

  void count(Tally& tally, const Life& life) {
    ++tally.runs;
    tally.calls.insert(life.fault->call);
    if (life.report.injected.empty())
      ++tally.missed;
    else if (life.died)
      ++tally.deaths;
    else if (life.errors.empty())
      ++tally.successes;
    else
      ++tally.errors;
  }

  // `whose` is the beginning of the figures.
  void try_all(const std::string& whose, const Living& living) {
    constexpr std::size_t kEnoughProblems = 40;
    Tally tally;
    for (const Fault& fault : faults_of(calls_of_every(living))) {
      if (!is_wanted(fault) || problems().size() > kEnoughProblems) continue;
      const Life life = living(fault);
      print_if_wanted(life);
      count(tally, life);
    }
    for (const std::string& problem : problems()) ADD_FAILURE() << problem;
    if (std::getenv(kWanted) == nullptr) {
      EXPECT_GE(tally.calls.size(), 10u) << "the tracer sees nothing";
      EXPECT_LE(tally.missed, tally.runs / 20) << "of " << tally.runs;
    }
    figure(whose + " faults, each in a life of its own", tally.runs);
    figure(whose + " kinds of calls that failed", static_cast<double>(tally.calls.size()));
    figure(whose + " faults without an effect", tally.successes);
    figure(whose + " faults with an error to a caller", tally.errors);
    figure(whose + " faults that ended it, cleaned up after", tally.deaths);
    figure(whose + " faults that did not come about", tally.missed);
  }
};

TEST_F(Faults, OfAnyCallEndInAClearErrorOrSuccessAndLeaveNothing) {
  try_all("a life's", [&](const std::optional<Fault>& fault) { return live(fault); });
}

TEST_F(Faults, OfAnyCallOfAStartThatFindsAShimEndInAnErrorOrOneThatAnswers) {
  try_all("a joining start's", [&](const std::optional<Fault>& fault) { return join(fault); });
}

// A shim whose state cannot be read is not dead.
TEST_F(Faults, OfProbingALivingShimMakeNoStartReplaceIt) {
  for (const char* call : {"socket", "connect", "getsockopt", "sendto"})
    for (long nth : {1, 2, 3})
      for (int error : {ENOMEM, EACCES, ENFILE, ENOBUFS, EPERM}) {
        const Life life = join(Fault{"start", call, nth, error});
        if (!life.report.injected.empty()) {
          EXPECT_FALSE(life.errors.empty()) << life.title << ": no error was returned";
        }
      }
  EXPECT_EQ(problems(), Lines());
}

TEST_F(Faults, OfAskingALivingShimMakeNoDeletionEndTheNeighbours) {
  for (const char* deleted : {"job", "sandbox"})
    for (const char* call : {"socket", "connect", "getsockopt"})
      for (int error : {ENOMEM, EACCES, ENFILE, ENOBUFS, EPERM, ECONNREFUSED})
        delete_beside(deleted, Fault{"delete", call, 1, error});
  EXPECT_EQ(problems(), Lines());
}

TEST_F(Faults, OfAnyCallOfADeletionLeaveTheNeighboursOfALivingShimAlone) {
  for (const std::string deleted : {"job", "sandbox"})
    try_all("a delete's beside the living, of " + deleted + ",",
            [&](const std::optional<Fault>& fault) { return delete_beside(deleted, fault); });
}

TEST_F(Faults, OfAnyCallOfDeleteLeaveNothingForTheNext) {
  try_all("delete's", [&](const std::optional<Fault>& fault) { return die(fault); });
}

TEST_F(Faults, OfAnyCallOfAPodsDeleteLeaveNoProcessIfItSucceeds) {
  try_all("a pod's delete's", [&](const std::optional<Fault>& fault) { return die_as_pod(fault); });
}

}  // namespace
}  // namespace thinshim::test
