// SPDX-License-Identifier: Apache-2.0
// A scene with one shim and one sleeping container.
#pragma once

#include <memory>

#include "bench/row.h"
#include "bench/shim.h"

namespace thinshim::bench {

class WithContainer : public Scene {
 public:
  WithContainer(Place& place, Samples& samples) : place_(place), samples_(samples) {}
  void begin() override {
    shim_ = std::make_unique<Shim>(Shim::start(place_, kId));
    container_ = shim_->run(kId);
    shim_->pid();
  }
  void end() override { shim_->end(kId, container_); }

 protected:
  static constexpr const char* kId = "box";
  Place& place_;
  Samples& samples_;
  std::unique_ptr<Shim> shim_;
  pid_t container_ = 0;
};

}  // namespace thinshim::bench
