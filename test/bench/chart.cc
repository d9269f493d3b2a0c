// SPDX-License-Identifier: Apache-2.0
// The chart for the README: a bar for each row that is marked for it. Its length is the logarithm
// of the first peer's cost relative to the base; a full bar is the base's cost, or more. A speed is
// shown as its inverse, the time for the same work.
#include <algorithm>
#include <cmath>

#include "bench/report.h"

namespace thinshim::bench {
namespace {

constexpr int kLeft = 250;    // where bars begin
constexpr int kLength = 300;  // of a full bar
constexpr int kWidth = 720;
constexpr int kTop = 58;
constexpr int kStep = 24;
constexpr double kLeast = 0.01;  // of the base's cost: a bar of no length

double length_of(double cost) {
  const double share = std::log(std::max(cost, kLeast) / kLeast) / std::log(1 / kLeast);
  return std::clamp(share * kLength, 2.0, kLength * 1.0);
}

std::string text(double x, int y, const std::string& style, const std::string& content) {
  return "<text x=\"" + number(x) + "\" y=\"" + std::to_string(y) + "\" class=\"" + style + "\">" +
         content + "</text>\n";
}

std::string escaped(const std::string& plain) {
  std::string result;
  for (char c : plain) {
    if (c == '`') continue;
    result += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
  }
  return result;
}

}  // namespace

std::string chart_of(const Report& report) {
  std::vector<const Row*> shown;
  for (const Row* row : report.rows)
    if (row->in_chart && report.ratio(*row, report.peers[0])) shown.push_back(row);
  const int bottom = kTop + kStep * static_cast<int>(shown.size());
  const std::string height = std::to_string(bottom + 30);

  // Colours that are readable on white and, if the reader prefers dark, on black.
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + std::to_string(kWidth) + " " +
      height + "\" width=\"" + std::to_string(kWidth) + "\" height=\"" + height +
      "\" role=\"img\">\n<style>\ntext{font:13px sans-serif;fill:#24292f}"
      ".title{font-weight:bold;font-size:15px}.name{text-anchor:end}.scale{text-anchor:middle;"
      "fill:#6e7781;font-size:11px}.small{fill:#6e7781;font-size:11px}line{stroke:#d0d7de}"
      ".whole{fill:#eaeef2}.bar{fill:#0969da}\n@media "
      "(prefers-color-scheme:dark){text{fill:#e6edf3}"
      ".scale,.small{fill:#8d96a0}line{stroke:#30363d}.whole{fill:#21262d}.bar{fill:#4493f8}}\n"
      "</style>\n";
  const std::string base =
      report.base().peer.name == "stock" ? "the stock shim" : report.base().peer.name;
  svg += text(
      kLeft, 18, "title",
      "What " + escaped(report.peers[0].peer.name) + " costs, where " + escaped(base) + " costs 1");
  for (const auto& [cost, label] :
       {std::pair{0.01, "1/100"}, std::pair{0.1, "1/10"}, std::pair{1.0, "1"}}) {
    const double x = kLeft + (cost <= kLeast ? 0 : length_of(cost));
    svg += text(x, kTop - 16, "scale", label);
    svg += "<line x1=\"" + number(x) + "\" x2=\"" + number(x) + "\" y1=\"" +
           std::to_string(kTop - 10) + "\" y2=\"" + std::to_string(bottom) + "\"/>\n";
  }
  int y = kTop;
  for (const Row* row : shown) {
    const double ratio = *report.ratio(*row, report.peers[0]);
    const double cost = row->more_is_better ? 1 / ratio : ratio;
    const std::string ours = number(figure_of(report.peers[0].samples.of(row->name)).median);
    const std::string theirs = number(figure_of(report.base().samples.of(row->name)).median);
    const std::string top = std::to_string(y - 8);
    svg += text(kLeft - 10, y + 5, "name", escaped(row->title));
    svg += "<rect class=\"whole\" x=\"" + std::to_string(kLeft) + "\" y=\"" + top + "\" width=\"" +
           std::to_string(kLength) + "\" height=\"16\"/>\n";
    svg += "<rect class=\"bar\" x=\"" + std::to_string(kLeft) + "\" y=\"" + top + "\" width=\"" +
           number(length_of(cost)) + "\" height=\"16\"/>\n";
    svg += text(kLeft + kLength + 12, y + 5, "value",
                ours + (row->unit.empty() ? "" : " " + row->unit) + ", not " + theirs);
    y += kStep;
  }
  svg += text(kLeft, bottom + 16, "small",
              "Logarithmic. Medians of " + std::to_string(report.rounds) + " rounds in turn; " +
                  escaped(report.machine));
  return svg + "</svg>\n";
}

}  // namespace thinshim::bench
