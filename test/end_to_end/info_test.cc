// SPDX-License-Identifier: Apache-2.0
// The flag -info, with which containerd 2 queries a shim.
#include <fstream>

#include "runc_options.pb.h"
#include "runtime_info.pb.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

class Info : public ShimTest {
 protected:
  // Calls it without a namespace, an id or a bundle.
  Outcome ask(const std::string& input) {
    SubprocessOptions options;
    options.input = input;
    return test::run({binary_, "-info"}, options);
  }
  static containerd::types::RuntimeInfo answer_of(const Outcome& outcome) {
    EXPECT_TRUE(outcome.ok()) << outcome;
    containerd::types::RuntimeInfo info;
    EXPECT_TRUE(info.ParseFromString(outcome.out)) << outcome;
    return info;
  }
  static std::string options_for(const std::string& binary) {
    containerd::runc::v1::Options options;
    options.set_binary_name(binary);
    wire::Any any;
    any.set_type_url(options.GetTypeName());
    any.set_value(options.SerializeAsString());
    return any.SerializeAsString();
  }
};

TEST_F(Info, ReportsRuncsFeatures) {
  const auto info = answer_of(ask(""));
  EXPECT_EQ(info.name(), "io.containerd.runc.v2");
  EXPECT_FALSE(info.version().version().empty());
  EXPECT_FALSE(info.has_options());
  const Outcome features = test::run({"runc", "features"});  // old versions have no such command
  EXPECT_EQ(
      info.features().type_url(),
      features.ok() ? "types.containerd.io/opencontainers/runtime-spec/1/features/Features" : "");
  EXPECT_EQ(info.features().value(), features.ok() ? features.out : "");
}

TEST_F(Info, ReturnsTheOptions) {
  const std::string input = options_for("runc");
  EXPECT_EQ(answer_of(ask(input)).options().SerializeAsString(), input);
}

TEST_F(Info, OfARuntimeWithoutThatCommandHasNoFeatures) {
  for (const char* script : {"#!/bin/sh\nexit 1\n", "#!/bin/sh\necho what\n"}) {
    const std::string binary = directory_ / "old-runtime";
    std::ofstream(binary) << script;
    std::filesystem::permissions(binary, std::filesystem::perms::owner_all);
    const auto info = answer_of(ask(options_for(binary)));
    EXPECT_TRUE(info.has_options());
    EXPECT_FALSE(info.has_features());
  }
}

TEST_F(Info, OfNoRuntimeIsRefused) {
  for (const std::string& input : {options_for("/no/such/runtime"), std::string("\xff")}) {
    const Outcome outcome = ask(input);
    EXPECT_EQ(outcome.exit_code, 1) << outcome;
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

}  // namespace
}  // namespace thinshim::test
