// SPDX-License-Identifier: Apache-2.0
// The Debian package of scripts/package: installed, used, and removed without a trace. The machine
// does not change: dpkg writes to overlays, which the test removes.
#include <sys/mount.h>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShim = "/usr/lib/thinshim/containerd-shim-runc-v2";
constexpr const char* kName = "/usr/bin/containerd-shim-runc-v2-thin";
constexpr const char* kRuntime = "io.containerd.runc.v2-thin";
constexpr const char* kManual = "/usr/share/man/man8/containerd-shim-runc-v2-thin.8.gz";
constexpr const char* kExample = "/usr/share/doc/thinshim/examples/config.yaml";

// Built at the first call, from the build of the shim under test.
fs::path package() {
  static std::string file;
  if (file.empty()) {
    const fs::path build = fs::path(std::getenv("THINSHIM_BINARY")).parent_path();
    const Outcome made =
        test::run({fs::path(std::getenv("THINSHIM_SOURCE")) / "scripts/package", build});
    EXPECT_TRUE(made.ok()) << made;
    file = made.out.substr(0, made.out.find('\n'));
  }
  return file;
}

class Package : public EndToEnd {
 protected:
  void SetUp() override {
    for (const char* place : {"/usr", "/etc", "/var/lib/dpkg", "/var/log"}) overlay(place);
    EndToEnd::SetUp();
    ASSERT_FALSE(package().empty());
  }

  void TearDown() override {
    EndToEnd::TearDown();
    for (auto overlay = overlays_.rbegin(); overlay != overlays_.rend(); ++overlay)
      EXPECT_EQ(umount2(overlay->place.c_str(), MNT_DETACH), 0) << overlay->place;
  }

  // No triggers: man-db would index all the manuals of the machine.
  static Outcome dpkg(const Words& arguments) {
    return test::run(Words{"dpkg", "--no-triggers", "--force-unsafe-io"} + arguments);
  }
  static Outcome install() { return dpkg({"--install", package()}); }

  // What was added since the overlays were mounted: files, and new directories.
  std::set<std::string> written_below(const std::string& place) const {
    std::set<std::string> found;
    for (const Overlay& overlay : overlays_) {
      if (overlay.place != place) continue;
      for (const auto& entry : fs::recursive_directory_iterator(overlay.upper)) {
        const fs::path name = entry.path().lexically_relative(overlay.upper);
        if (entry.is_symlink() || !entry.is_directory() || !fs::exists(overlay.lower / name))
          found.insert(place / name);
      }
    }
    return found;
  }

 private:
  struct Overlay {
    std::string place;
    fs::path upper;
    fs::path lower;  // the original directory
  };

  void overlay(const std::string& place) {
    const fs::path own = directory_ / "overlays" / std::to_string(overlays_.size());
    const Overlay made{place, own / "upper", own / "lower"};
    for (const fs::path& path : {made.upper, made.lower, own / "work"})
      fs::create_directories(path);
    ASSERT_EQ(mount(place.c_str(), made.lower.c_str(), nullptr, MS_BIND, nullptr), 0) << place;
    // Otherwise the overlay would cover it too.
    ASSERT_EQ(mount("", made.lower.c_str(), nullptr, MS_PRIVATE, nullptr), 0) << place;
    const std::string options = "lowerdir=" + made.lower.string() +
                                ",upperdir=" + made.upper.string() +
                                ",workdir=" + (own / "work").string();
    ASSERT_EQ(mount("overlay", place.c_str(), "overlay", 0, options.c_str()), 0) << place;
    overlays_.push_back(made);
  }

  std::vector<Overlay> overlays_;
};

TEST_F(Package, StandsBesideTheStockShim) {
  const Outcome installed = install();
  ASSERT_TRUE(installed.ok()) << installed;
  std::set<std::string> written = written_below("/usr");
  std::erase_if(written, [](const std::string& path) { return path.ends_with(".copyright"); });
  EXPECT_EQ(written, (std::set<std::string>{
                         kName,
                         "/usr/lib/thinshim",
                         kShim,
                         "/usr/share/doc/thinshim",
                         "/usr/share/doc/thinshim/changelog.gz",
                         "/usr/share/doc/thinshim/copyright",
                         "/usr/share/doc/thinshim/examples",
                         kExample,
                         kManual,
                         "/usr/share/lintian/overrides/thinshim",
                     }));
  EXPECT_EQ(written_below("/etc"), std::set<std::string>());
  EXPECT_EQ(test::run({"dpkg", "--verify", "thinshim"}).out, "");
}

TEST_F(Package, RunsContainers) {
  ASSERT_TRUE(install().ok());
  const Outcome outcome =
      run("web", {"/bin/sh", "-c", "echo hello; exit 3"}, {"--runtime", kRuntime});
  EXPECT_EQ(outcome.exit_code, 3) << outcome;
  EXPECT_EQ(outcome.out, "hello\n");

  run_detached("served", {"/bin/sleep", "1000"}, {"--null-io", "--runtime", kRuntime});
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(only_shim().pid) + "/exe"), kShim);
  remove("served");
}

TEST_F(Package, HasAManualAndAnExampleThatTheShimReads) {
  ASSERT_TRUE(install().ok());
  const Outcome manual = test::run({"zcat", kManual});
  EXPECT_NE(manual.out.find(".Sh CONFIGURATION"), std::string::npos) << manual;

  SubprocessOptions options;
  options.environment = {std::string("THINSHIM_CONFIG=") + kExample};
  const Outcome info = test::run({kName, "-info"}, options);
  EXPECT_TRUE(info.ok()) << info;
}

TEST_F(Package, LeavesNothingWhenItIsRemoved) {
  ASSERT_TRUE(install().ok());
  EXPECT_TRUE(run("web", {"/bin/true"}, {"--runtime", kRuntime}).ok());
  const Outcome removed = dpkg({"--remove", "thinshim"});
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(written_below("/usr"), std::set<std::string>());
  EXPECT_EQ(written_below("/etc"), std::set<std::string>());
  // No configuration file is left either, which would make dpkg remember the package.
  EXPECT_FALSE(test::run({"dpkg", "--status", "thinshim"}).ok());
  EXPECT_FALSE(run("late", {"/bin/true"}, {"--runtime", kRuntime}).ok());
}

// --- the shim in it

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t times = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++times;
  return times;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Shim, IsPositionIndependentAndHasNoPageThatIsWritableAndExecutable) {
  const Outcome headers = test::run({"readelf", "-lWd", std::getenv("THINSHIM_BINARY")});
  for (const char* part :
       {"DYN (Position-Independent Executable file)", "GNU_RELRO", "BIND_NOW", "Flags: NOW PIE"})
    EXPECT_NE(headers.out.find(part), std::string::npos) << part << "\n" << headers;
  // It is linked statically, so no library can be placed under it.
  for (const char* part : {" RWE ", "TEXTREL", "INTERP", "NEEDED", "RPATH", "RUNPATH"})
    EXPECT_EQ(headers.out.find(part), std::string::npos) << part << "\n" << headers;
  EXPECT_TRUE(std::regex_search(headers.out, std::regex("GNU_STACK.* RW "))) << headers;
}

// Debian 12's libraries contain 1700 of the former and 2100 of the latter; thinshim's own code has
// thousands more. The marks alone have no effect: the kernel needs a note (readelf -n) that the
// whole program has them, and parts of Debian's libc do not.
TEST(Shim, HasAStackProtectorAndMarksItsJumpTargets) {
  const std::string code = read(std::getenv("THINSHIM_BINARY"));
  EXPECT_GT(count(code, "\xf3\x0f\x1e\xfa"), 5000u) << "endbr64";
  const std::string canary("\x25\x28\0\0\0", 5);  // %fs:0x28
  EXPECT_GT(count(code, canary), 3500u);
}

TEST(Shim, UsesCheckedCallsOfLibc) {
  const fs::path build = fs::path(std::getenv("THINSHIM_BINARY")).parent_path();
  std::istringstream commands(read(build / "compile_commands.json"));
  int sources = 0;
  for (std::string line; std::getline(commands, line);) {
    if (line.find("\"command\":") == std::string::npos ||
        !std::regex_search(line, std::regex("-c [^ ]*/?src/[a-z/_]+\\.cc")))
      continue;
    ++sources;
    EXPECT_NE(line.find("-D_FORTIFY_SOURCE=2"), std::string::npos) << line;
  }
  EXPECT_GT(sources, 50);
}

}  // namespace
}  // namespace thinshim::test
