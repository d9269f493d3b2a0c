// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace thinshim::bench {
namespace {

double quantile(const std::vector<double>& sorted, double share) {
  const double position = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - static_cast<double>(below));
}

// One character for each column of UTF-8.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string left(const std::string& text, std::size_t columns) {
  return text + std::string(columns - std::min(columns, width(text)), ' ');
}
std::string right(const std::string& text, std::size_t columns) {
  return std::string(columns - std::min(columns, width(text)), ' ') + text;
}

std::string cell(const Figure& figure) {
  return right(number(figure.median), 8) +
         left("  " + number(figure.low) + "…" + number(figure.high), 18);
}

std::string aim_text(const Aim& aim) {
  switch (aim.kind) {
    case Aim::Kind::times_stock_at_most:
    case Aim::Kind::times_stock_at_least:
      return number(aim.value) + "×";
    case Aim::Kind::at_most:
      return number(aim.value);
    case Aim::Kind::none:
      break;
  }
  return "";
}

}  // namespace

std::string number(double value) {
  char text[32];
  const double size = std::fabs(value);
  const bool whole = value == std::floor(value);
  const int digits = whole || size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

Figure figure_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75), values.size()};
}

const Measured& Report::base() const {
  for (const Measured& one : peers)
    if (one.peer.name == "stock") return one;
  return peers.back();
}

std::optional<double> Report::ratio(const Row& row, const Measured& peer) const {
  const double divisor = figure_of(base().samples.of(row.name)).median;
  if (divisor == 0) return std::nullopt;
  return figure_of(peer.samples.of(row.name)).median / divisor;
}

std::optional<bool> Report::reached(const Row& row) const {
  const double value = figure_of(peers[0].samples.of(row.name)).median;
  const double times = ratio(row, peers[0]).value_or(0);
  switch (row.aim.kind) {
    case Aim::Kind::times_stock_at_most:
      return times <= row.aim.value;
    case Aim::Kind::times_stock_at_least:
      return times >= row.aim.value;
    case Aim::Kind::at_most:
      return value <= row.aim.value;
    case Aim::Kind::none:
      break;
  }
  return std::nullopt;
}

std::string table_of(const Report& report) {
  std::string text = left("", 43);
  for (const Measured& one : report.peers) {
    text += right(one.peer.name, 8) + left("  quartiles", 18);
    if (&one != &report.base()) text += right("ratio", 7) + "  ";
  }
  text += "  aim\n";
  std::string part;
  for (const Row* row : report.rows) {
    const std::string its_part = row->name.substr(0, row->name.find('/'));
    if (its_part != part) text += its_part + "\n";
    part = its_part;
    text += left("  " + row->title, 36) + left(row->unit, 7);
    for (const Measured& one : report.peers) {
      text += cell(figure_of(one.samples.of(row->name)));
      if (&one == &report.base()) continue;
      const std::optional<double> ratio = report.ratio(*row, one);
      text += right(ratio ? number(*ratio) : "", 7) + "  ";
    }
    if (const std::optional<bool> reached = report.reached(*row))
      text += "  " + left(aim_text(row->aim), 7) + (*reached ? "reached" : "not reached");
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
  }
  return text;
}

std::string json_of(const Report& report) {
  rapidjson::StringBuffer buffer;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json(buffer);
  const auto string = [&](const char* key, const std::string& value) {
    json.Key(key);
    json.String(value.c_str());
  };
  const auto value = [&](const char* key, double number) {
    json.Key(key);
    json.Double(number);
  };
  json.SetIndent(' ', 1);
  json.SetMaxDecimalPlaces(6);
  json.StartObject();
  string("machine", report.machine);
  json.Key("rounds");
  json.Int(report.rounds);
  json.Key("peers");
  json.StartArray();
  for (const Measured& one : report.peers) {
    json.StartObject();
    string("name", one.peer.name);
    string("shim", one.peer.shim);
    string("runtime", one.peer.runtime);
    string("version", one.version);
    json.EndObject();
  }
  json.EndArray();
  json.Key("rows");
  json.StartArray();
  for (const Row* row : report.rows) {
    json.StartObject();
    string("name", row->name);
    string("title", row->title);
    string("unit", row->unit);
    if (row->aim.kind != Aim::Kind::none) string("aim", aim_text(row->aim));
    if (const std::optional<bool> reached = report.reached(*row)) {
      json.Key("reached");
      json.Bool(*reached);
    }
    json.Key("figures");
    json.StartObject();
    for (const Measured& one : report.peers) {
      const Figure figure = figure_of(one.samples.of(row->name));
      json.Key(one.peer.name.c_str());
      json.StartObject();
      value("median", figure.median);
      value("low", figure.low);
      value("high", figure.high);
      json.Key("count");
      json.Uint64(figure.count);
      if (const std::optional<double> ratio = report.ratio(*row, one)) value("ratio", *ratio);
      json.EndObject();
    }
    json.EndObject();
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return std::string(buffer.GetString()) + "\n";
}

}  // namespace thinshim::bench
