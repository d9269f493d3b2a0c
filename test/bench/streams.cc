// SPDX-License-Identifier: Apache-2.0
// Containers that write as fast as they can.
#include <signal.h>

#include <algorithm>
#include <list>

#include "base/error.h"
#include "bench/costs.h"
#include "bench/row.h"
#include "bench/shim.h"
#include "bench/stream.h"

namespace thinshim::bench {
namespace {

constexpr std::uint64_t kBlock = 64 << 10;
constexpr std::uint64_t kLine = 100;

struct Load {
  std::string part;
  int containers = 1;
  std::uint64_t chunk = kBlock;  // of each write
  std::uint64_t megabytes = 0;   // of each container
  std::uint64_t quick_megabytes = 0;
  bool terminal = false;
};

Words writer(std::uint64_t chunk, std::uint64_t bytes) {
  return {"/bin/writer", std::to_string(chunk), std::to_string(bytes / chunk)};
}

// The time for so many megabytes, from the first byte read to the end of the stream.
class Stream : public Scene {
 public:
  Stream(Place& place, Samples& samples, Load load)
      : place_(place), samples_(samples), load_(std::move(load)) {}

  void repeat(int) override {
    const std::uint64_t total =
        (place_.ground().quick ? load_.quick_megabytes : load_.megabytes) * 1000 * 1000;
    Words ids;
    std::list<StreamReader> readers;
    std::unique_ptr<Shim> shim;
    for (int i = 0; i < load_.containers; ++i) {
      const std::string& id = ids.emplace_back("writer-" + std::to_string(i));
      place_.make_bundle(id, writer(load_.chunk, total), load_.terminal, "writers");
      const std::string answer = place_.start(id).output;
      if (!shim) shim = std::make_unique<Shim>(place_, answer);
      readers.emplace_back(place_.bundle(id) / "stdout");
      shim->create(id, readers.back().stdio(load_.terminal));
    }
    const double cpu = cpu_milliseconds(shim->pid());
    for (const std::string& id : ids) shim->start_process(id);
    double first = 0;
    double last = 0;
    double bytes = 0;
    for (StreamReader& reader : readers) {
      reader.finish();
      first = first == 0 ? reader.first() : std::min(first, reader.first());
      last = std::max(last, reader.last());
      bytes += static_cast<double>(reader.bytes());
    }
    const double spent = cpu_milliseconds(shim->pid()) - cpu;
    if (bytes < static_cast<double>(total) * load_.containers * 0.999)
      throw Error::unknown(place_.peer().name + " has lost output");
    samples_.add(load_.part + "/speed", bytes / 1e6 / (last - first));
    samples_.add(load_.part + "/cpu", spent / 1e3 / (bytes / 1e9));

    for (const std::string& id : ids) {
      Waiter waiter = shim->wait(id);
      waiter.finish();
      shim->remove(id);
    }
    shim->shut_down();
    for (const std::string& id : ids) place_.remove(id);
  }

 private:
  Place& place_;
  Samples& samples_;
  Load load_;
};

// State while a container of the shim writes.
class Busy : public Scene {
 public:
  Busy(Place& place, Samples& samples) : place_(place), samples_(samples) {}

  void begin() override {
    place_.make_bundle(kId, writer(kBlock, 0));
    reader_ = std::make_unique<StreamReader>(place_.bundle(kId) / "stdout");
    shim_ = std::make_unique<Shim>(place_, place_.start(kId).output);
  }
  // Only one peer's container may run at a time.
  void repeat(int) override {
    container_ = shim_->run(kId, reader_->stdio());
    const Stopwatch watch;
    while (reader_->bytes() < kBlock * 1000) {
      if (watch.seconds() > 60) throw Error(Code::deadline_exceeded, "nothing is written");
      shim_->state(kId);
    }
    std::vector<double> times(place_.ground().quick ? 100 : 1000);
    for (double& time : times) {
      const Stopwatch answered;
      shim_->state(kId);
      time = answered.milliseconds();
    }
    std::sort(times.begin(), times.end());
    samples_.add("busy/state", times[times.size() / 2]);
    samples_.add("busy/state-99", times[times.size() * 99 / 100]);
    shim_->end_container(kId, container_);
    reader_->finish();
  }
  void end() override {
    shim_->shut_down();
    place_.remove(kId);
  }

 private:
  static constexpr const char* kId = "writer";
  Place& place_;
  Samples& samples_;
  std::unique_ptr<StreamReader> reader_;
  std::unique_ptr<Shim> shim_;
  pid_t container_ = 0;
};

std::unique_ptr<Scene> make_stream(Place& place, Samples& samples, Load load) {
  return std::make_unique<Stream>(place, samples, std::move(load));
}

}  // namespace

std::unique_ptr<Scene> make_stdout(Place& place, Samples& samples) {
  return make_stream(place, samples, {"stdout", 1, kBlock, 2000, 200});
}
std::unique_ptr<Scene> make_ten_streams(Place& place, Samples& samples) {
  return make_stream(place, samples, {"stdout-ten", 10, kBlock, 200, 20});
}
std::unique_ptr<Scene> make_lines(Place& place, Samples& samples) {
  return make_stream(place, samples, {"stdout-lines", 1, kLine, 100, 10});
}
std::unique_ptr<Scene> make_terminal(Place& place, Samples& samples) {
  return make_stream(place, samples, {"terminal", 1, kBlock, 200, 20, true});
}
std::unique_ptr<Scene> make_busy(Place& place, Samples& samples) {
  return std::make_unique<Busy>(place, samples);
}

}  // namespace thinshim::bench
