// SPDX-License-Identifier: Apache-2.0
// The result of a run, as text and as data.
#pragma once

#include <string>
#include <vector>

#include "bench/row.h"

namespace thinshim::bench {

struct Figure {
  double median = 0;
  double low = 0;  // the quartiles
  double high = 0;
  std::size_t count = 0;
};
Figure figure_of(std::vector<double> values);

// A peer and its results; the version is the one that it prints.
struct Measured {
  Peer peer;
  std::string version;
  Samples samples;
};

struct Report {
  int rounds = 0;
  std::string machine;
  std::vector<Measured> peers;
  std::vector<const Row*> rows;

  // The peer that the others are compared with: "stock", else the last.
  const Measured& base() const;
  // Relative to the base; nothing if that is 0.
  std::optional<double> ratio(const Row& row, const Measured& peer) const;
  // Of the first peer; nothing if the row has no aim.
  std::optional<bool> reached(const Row& row) const;
};

std::string table_of(const Report& report);
std::string json_of(const Report& report);
std::string chart_of(const Report& report);  // SVG; in chart.cc

// Three significant digits; a whole number as it is.
std::string number(double value);

}  // namespace thinshim::bench
