// SPDX-License-Identifier: Apache-2.0
// Does the same work with several shims in turn and reports the cost. scripts/bench builds it and
// names the peers; README.md describes each measurement.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <list>
#include <set>

#include "base/error.h"
#include "bench/costs.h"
#include "bench/report.h"
#include "bench/row.h"
#include "bench/shim.h"
#include "support/busybox.h"
#include "support/own_namespaces.h"
#include "support/subprocess.h"

namespace thinshim::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUsage =
    "usage: bench [--rounds N] [--json FILE] [--svg FILE] --peer NAME=SHIM[,RUNTIME]... [ROW...]\n"
    "\n"
    "  --rounds N   5; with 1 every row is there after seconds, from less work\n"
    "  --peer ...   the first is the one that has aims; ratios are to the one named \"stock\"\n"
    "  ROW          only rows whose names begin so: life, life/create, memory\n"
    "  --list       shows the rows\n";

struct Options {
  int rounds = 5;
  std::string json;
  std::string svg;
  std::vector<Peer> peers;
  std::vector<const Row*> rows;
};

Peer parse_peer(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error::invalid_argument("--peer " + text + ": NAME=SHIM[,RUNTIME] expected");
  const std::size_t comma = std::min(text.find(',', equals), text.size());
  Peer peer;
  peer.name = text.substr(0, equals);
  peer.shim = fs::absolute(text.substr(equals + 1, comma - equals - 1));
  if (comma < text.size()) peer.runtime = text.substr(comma + 1);
  if (::access(peer.shim.c_str(), X_OK) != 0) throw_errno(peer.shim);
  return peer;
}

std::vector<const Row*> chosen_rows(const Words& prefixes) {
  std::vector<const Row*> chosen;
  const auto matches = [&](const Row& row) {
    return prefixes.empty() ||
           std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const std::string& prefix) { return row.name.rfind(prefix, 0) == 0; });
  };
  for (const Row& row : rows())
    if (matches(row)) chosen.push_back(&row);
  if (chosen.empty()) throw Error::invalid_argument("no row has such a name");
  return chosen;
}

Options parse(int argc, char** argv) {
  Options options;
  Words prefixes;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] {
      if (++i == argc) throw Error::invalid_argument(word + " needs a value");
      return std::string(argv[i]);
    };
    if (word == "--rounds") {
      options.rounds = std::atoi(value().c_str());
    } else if (word == "--json") {
      options.json = value();
    } else if (word == "--svg") {
      options.svg = value();
    } else if (word == "--peer") {
      options.peers.push_back(parse_peer(value()));
    } else if (word.rfind("-", 0) == 0) {
      throw Error::invalid_argument("unknown: " + word);
    } else {
      prefixes.push_back(word);
    }
  }
  if (options.rounds < 1) throw Error::invalid_argument("no rounds");
  if (options.peers.empty()) throw Error::invalid_argument("no peer");
  options.rows = chosen_rows(prefixes);
  return options;
}

bool wanted(const Part& part, const std::vector<const Row*>& chosen) {
  return std::any_of(chosen.begin(), chosen.end(),
                     [&](const Row* row) { return row->name.rfind(part.name + "/", 0) == 0; });
}

void play(const Part& part, const Part::Effort& effort, const Ground& ground,
          std::vector<Measured>& peers) {
  std::list<Place> places;
  std::vector<std::unique_ptr<Scene>> scenes;
  // All places exist before the first scene: each records what there was before.
  for (Measured& one : peers) places.emplace_back(ground, one.peer);
  auto place = places.begin();
  for (Measured& one : peers) scenes.push_back(part.make(*place++, one.samples));
  for (auto& scene : scenes) scene->begin();
  for (int turn = 0; turn < effort.turns; ++turn)
    for (auto& scene : scenes) scene->repeat(turn);
  ::usleep(static_cast<useconds_t>(effort.rest * 1e6));
  for (auto& scene : scenes) scene->end();
  scenes.clear();
  for (Place& one : places) one.expect_nothing_left();
}

std::string machine() {
  std::string model = "unknown CPU";
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);)
    if (line.rfind("model name", 0) == 0) model = line.substr(line.find(':') + 2);
  utsname system{};
  ::uname(&system);
  return std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " cores, " + model + ", Linux " +
         std::string(system.release).substr(0, std::strcspn(system.release, "-"));
}

// The first line that says "Version: ...", as both shims print it for -v.
std::string version_of(const Peer& peer) {
  const std::string said = test::run({peer.shim, "-v"}).out;
  const std::size_t begin = said.find("Version:");
  if (begin == std::string::npos) return "";
  const std::string line = said.substr(begin, said.find('\n', begin) - begin);
  return line.substr(line.find_first_not_of(" ", std::strlen("Version:")));
}

// Data that was just written, and is not on the disk yet, counts as the private memory of the
// process that runs it.
void write_back(const std::string& file) { ::fsync(open_file(file, O_RDONLY).get()); }

void write(const std::string& file, const std::string& text) {
  if (file.empty()) return;
  std::ofstream stream(file);
  stream << text;
  stream.close();
  if (!stream) throw Error::unknown("cannot write " + file);
}

Ground make_ground(Loop& loop, EventSink& events, const fs::path& writer, const test::World& world,
                   bool quick) {
  test::make_busybox_tree(world.directory / "rootfs");
  fs::copy_file(writer, world.directory / "rootfs/bin/writer");
  return {loop, events, world.directory, world.name, quick};
}

int run(const Options& options, const fs::path& writer, const test::World& world) {
  // Orphans are reparented to this process: the shims, so that their CPU time is known, and what
  // the bare runtime leaves.
  check(::prctl(PR_SET_CHILD_SUBREAPER, 1), "become a subreaper");
  Report report;
  report.rounds = options.rounds;
  report.machine = machine();
  report.rows = options.rows;
  for (const Peer& peer : options.peers) {
    write_back(peer.shim);
    report.peers.push_back({peer, version_of(peer), {}});
  }
  const bool quick = options.rounds == 1;
  EventSink events(world.directory / "events.sock");
  Loop loop;
  const Ground ground = make_ground(loop, events, writer, world, quick);
  play(parts()[0], {1}, ground, report.peers);  // warm-up
  for (Measured& one : report.peers) one.samples.clear();

  for (int round = 1; round <= options.rounds; ++round)
    for (const Part& part : parts()) {
      if (!wanted(part, report.rows)) continue;
      std::fprintf(stderr, "round %d of %d: %s \r", round, options.rounds,
                   (part.name + std::string(16 - part.name.size(), ' ')).c_str());
      try {
        play(part, quick ? part.quick : part.full, ground, report.peers);
      } catch (const std::exception& error) {
        throw Error::unknown(part.name + ": " + error.what());
      }
    }
  std::fprintf(stderr, "%40s\r", "");

  std::printf("%s\n", report.machine.c_str());
  for (const Measured& one : report.peers)
    std::printf("%s: %s %s, runtime %s\n", one.peer.name.c_str(), one.peer.shim.c_str(),
                one.version.c_str(), one.peer.runtime.c_str());
  std::printf(
      "%s\n%s",
      quick ? "One round: 30 execs, 20 idle shims and 10 at once instead of 1,000, 100 and 100; "
              "2 s without a call instead of 60; a tenth of the output.\n"
            : "",
      table_of(report).c_str());
  write(options.json, json_of(report));
  write(options.svg, chart_of(report));
  for (const Row* row : report.rows)
    for (const Measured& one : report.peers)
      if (one.samples.of(row->name).empty())
        throw Error::unknown("no number for " + row->name + " of " + one.peer.name);
  return 0;
}

}  // namespace
}  // namespace thinshim::bench

int main(int argc, char** argv) {
  using namespace thinshim;
  try {
    const std::set<std::string> words(argv + 1, argv + argc);
    if (words.count("--help") != 0) {
      std::fputs(bench::kUsage, stdout);
      return 0;
    }
    if (words.count("--list") != 0) {
      for (const bench::Row& row : bench::rows())
        std::printf("%-28s %s%s\n", row.name.c_str(), row.title.c_str(),
                    row.unit.empty() ? "" : (", " + row.unit).c_str());
      return 0;
    }
    const bench::Options options = bench::parse(argc, argv);
    // Outside the chroot of the namespaces, where it has another path.
    const std::filesystem::path writer =
        std::filesystem::read_symlink("/proc/self/exe").replace_filename("bench_writer");
    return test::run_in_own_namespaces(
        [&](const test::World& world) { return bench::run(options, writer, world); });
  } catch (const Error& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    if (error.code() == Code::invalid_argument) std::fputs(bench::kUsage, stderr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
  }
  return 1;
}
