// SPDX-License-Identifier: Apache-2.0
// What is measured: the rows of the table, and the parts of the run that fill them.
//
// A part does its work on every peer in turn and gives numbers for all rows whose names begin with
// its own and a slash: part "life", row "life/create".
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/place.h"

namespace thinshim::bench {

// The aim for thinshim.
struct Aim {
  enum class Kind { none, times_stock_at_most, times_stock_at_least, at_most };
  Kind kind = Kind::none;
  double value = 0;
};

struct Row {
  std::string name;
  std::string title;
  std::string unit;
  Aim aim = {};
  bool more_is_better = false;
  bool in_chart = false;
};
const std::vector<Row>& rows();

// The numbers of one peer, by row.
class Samples {
 public:
  // Throws std::logic_error if there is no such row.
  void add(const std::string& row, double value);
  const std::vector<double>& of(const std::string& row) const;
  void clear() { values_.clear(); }

 private:
  std::map<std::string, std::vector<double>> values_;
};

// One peer's side of a part, in one round. The peers alternate: all begin, each repeats its work in
// turn as often as the part says, all rest for as long as it says, all end. Anything left over
// afterwards is an error.
class Scene {
 public:
  virtual ~Scene() = default;
  virtual void begin() {}
  virtual void repeat(int /*turn*/) {}
  virtual void end() {}
};

using MakeScene = std::unique_ptr<Scene> (*)(Place&, Samples&);

struct Part {
  std::string name;
  MakeScene make;
  // In a run of several rounds, and in a quick run of one.
  struct Effort {
    int turns = 0;
    double rest = 0;  // seconds
  };
  Effort full;
  Effort quick;
};
const std::vector<Part>& parts();

// In lifecycle.cc, calls.cc, exits.cc, memory.cc, streams.cc, crowd.cc.
std::unique_ptr<Scene> make_life(Place&, Samples&);
std::unique_ptr<Scene> make_crash(Place&, Samples&);
std::unique_ptr<Scene> make_exec(Place&, Samples&);
std::unique_ptr<Scene> make_exits(Place&, Samples&);
std::unique_ptr<Scene> make_calls(Place&, Samples&);
std::unique_ptr<Scene> make_memory(Place&, Samples&);
std::unique_ptr<Scene> make_pod_memory(Place&, Samples&);
std::unique_ptr<Scene> make_machine_memory(Place&, Samples&);
std::unique_ptr<Scene> make_idle(Place&, Samples&);
std::unique_ptr<Scene> make_stdout(Place&, Samples&);
std::unique_ptr<Scene> make_lines(Place&, Samples&);
std::unique_ptr<Scene> make_terminal(Place&, Samples&);
std::unique_ptr<Scene> make_ten_streams(Place&, Samples&);
std::unique_ptr<Scene> make_busy(Place&, Samples&);
std::unique_ptr<Scene> make_crowd(Place&, Samples&);

}  // namespace thinshim::bench
