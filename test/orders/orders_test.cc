// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include "orders/play.h"
#include "orders/kernel.h"
#include "support/own_namespaces.h"
using namespace thinshim;
using namespace thinshim::orders;
int main(int argc, char** argv) {
  return test::run_in_own_namespaces([&](const test::World& world) {
    prepare_to_play();
    for (int i = 1; i < argc; ++i) {
      const Order order = parse_order(argv[i]);
      std::int64_t begin = real_ms();
      const std::string d = world.directory.string() + "/" + std::to_string(i);
      Play play(*order.scene, d);
      for (auto& s : order.steps) play.perform(s);
      for (auto& s : play.enabled()) std::printf("may: %s\n", to_words(s).c_str());
      Trace t = play.finish();
      std::printf("%s\n%s  %d ms\n", to_words(order).c_str(), to_text(t).c_str(), int(real_ms() - begin));
    }
    return 0;
  });
}
