// SPDX-License-Identifier: Apache-2.0
#include "shim/server.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace thinshim {
namespace {

std::string plugins_refusal(const std::vector<std::string>& disabled) {
  try {
    check_plugins(disabled);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ServersPlugins, WorkTogether) { EXPECT_EQ(plugins_refusal({}), "accepted"); }

TEST(ServersPlugins, AreRefusedIfNoneIsAService) {
  const std::string needs = "disabled_plugins: plugin io.containerd.";
  EXPECT_EQ(plugins_refusal({"io.containerd.ttrpc.v1.tusk"}),
            "disabled_plugins: disabled plugin \"io.containerd.ttrpc.v1.tusk\": not found");
  EXPECT_EQ(plugins_refusal({"io.containerd.ttrpc.v1.task"}),
            "disabled_plugins: no service plugin is enabled: failed precondition");
  EXPECT_EQ(plugins_refusal({"io.containerd.event.v1.publisher"}),
            needs +
                "ttrpc.v1.task needs io.containerd.event.v1.publisher, which is disabled: "
                "failed precondition");
  EXPECT_EQ(plugins_refusal({"io.containerd.internal.v1.shutdown"}),
            needs +
                "event.v1.publisher needs io.containerd.internal.v1.shutdown, which is disabled: "
                "failed precondition");
  EXPECT_EQ(plugins_refusal({"io.containerd.ttrpc.v1.task", "io.containerd.event.v1.publisher",
                             "io.containerd.internal.v1.shutdown"}),
            "disabled_plugins: no service plugin is enabled: failed precondition");
}

}  // namespace
}  // namespace thinshim
