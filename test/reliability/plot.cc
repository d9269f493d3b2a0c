// SPDX-License-Identifier: Apache-2.0
#include "reliability/plot.h"

#include <algorithm>
#include <cstdio>

namespace thinshim::test {
namespace {

constexpr int kWidth = 720, kLeft = 60, kRight = 12;
constexpr int kTop = 34, kPanel = 96, kBetween = 30;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 10 ? "%.2g" : "%.0f", value);
  return text;
}

std::string label(double x, double y, const char* anchor, const std::string& words) {
  char text[512];
  std::snprintf(text, sizeof text,
                R"(<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>)"
                "\n",
                x, y, anchor, words.c_str());
  return text;
}

std::string line(double x1, double y1, double x2, double y2) {
  char text[256];
  std::snprintf(text, sizeof text,
                R"(<path class="grid" d="M%.0f %.0fL%.0f %.0f"/>)"
                "\n",
                x1, y1, x2, y2);
  return text;
}

// The next of 1, 2, 5, 10, 20...
double round_up(double value) {
  double step = 1;
  while (step * 10 < value) step *= 10;
  for (const double times : {1.0, 2.0, 5.0})
    if (step * times >= value) return step * times;
  return step * 10;
}

std::string panel(const Curve& curve, double top) {
  const double highest =
      round_up(std::max(1.0, *std::max_element(curve.values.begin(), curve.values.end())));
  const double bottom = top + kPanel;
  const int width = kWidth - kLeft - kRight;
  std::string svg = label(kLeft, top - 6, "start", curve.name);
  for (const double part : {0.0, 0.5, 1.0}) {
    svg += line(kLeft, bottom - part * kPanel, kWidth - kRight, bottom - part * kPanel);
    svg += label(kLeft - 6, bottom - part * kPanel + 4, "end", number(part * highest));
  }
  const std::size_t columns =
      std::min<std::size_t>(curve.values.size(), static_cast<std::size_t>(width));
  svg += R"(<path class="curve" d=")";
  for (std::size_t column = 0; column < columns; ++column) {
    const auto at = [&](std::size_t c) {
      return curve.values.begin() + static_cast<std::ptrdiff_t>(c * curve.values.size() / columns);
    };
    const double value = *std::max_element(at(column), at(column + 1));
    const double x =
        kLeft + (static_cast<double>(column) + 0.5) * width / static_cast<double>(columns);
    char point[64];
    std::snprintf(point, sizeof point, "%s%.1f %.1f", column == 0 ? "M" : "L", x,
                  bottom - value / highest * kPanel);
    svg += point;
  }
  return svg + "\"/>\n";
}

}  // namespace

std::string plot(const std::string& title, const std::vector<Curve>& curves) {
  const int height = kTop + static_cast<int>(curves.size()) * (kPanel + kBetween) + 16;
  char head[640];
  std::snprintf(
      head, sizeof head,
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">)"
      "\n<style>text{font:12px sans-serif;fill:#444}.grid{stroke:#ddd}"
      ".curve{fill:none;stroke:#1a6fb5;stroke-width:1.3}</style>\n"
      R"(<rect width="100%%" height="100%%" fill="#fff"/>)"
      "\n",
      kWidth, height, kWidth, height);
  std::string svg = head + label(kLeft, 16, "start", title);
  double top = kTop + 8;
  for (const Curve& curve : curves) {
    if (!curve.values.empty()) svg += panel(curve, top);
    top += kPanel + kBetween;
  }
  const double minutes = curves.empty() ? 0 : static_cast<double>(curves[0].values.size()) / 60;
  svg += label(kLeft, height - 8, "start", "0");
  svg += label(kWidth - kRight, height - 8, "end", number(minutes) + " min");
  return svg + "</svg>\n";
}

}  // namespace thinshim::test
