// SPDX-License-Identifier: Apache-2.0
// Logs of containers: `ctr --log-uri` with files and with logging programs.
#include <signal.h>
#include <sys/mount.h>

#include <fstream>
#include <sstream>

#include "support/end_to_end.h"
#include "support/eventually.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Logging : public EndToEnd {
 protected:
  // A logging program with this shell script; $dir is the directory that written() reads.
  std::string logger(const std::string& shell, const std::string& scheme = "binary") {
    const fs::path path = shared() / ("logger-" + std::to_string(++loggers_made_));
    std::ofstream(path) << "#!/bin/sh\nPATH=/usr/bin:/bin\ndir=" << shared().string() << "\n"
                        << shell << "\n";
    fs::permissions(path, fs::perms::owner_all);
    return scheme + "://" + path.string();
  }
  std::string written(const std::string& name) const {
    std::ifstream file(shared() / name);
    if (!file) return "no file";
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static std::string numbers(int last) {
    std::string lines;
    for (int i = 1; i <= last; ++i) lines += std::to_string(i) + "\n";
    return lines;
  }
  // A logger that writes stdout and stderr to two files; reports that it is ready with a byte.
  static constexpr const char* kKeeper =
      "printf x >&5; exec 5>&-\n"
      "cat <&3 >$dir/$1 & cat <&4 >$dir/$1.err; wait; echo $CONTAINER_NAMESPACE/$CONTAINER_ID: $* "
      ">$dir/$1.end";

 private:
  int loggers_made_ = 0;
};

TEST_F(Logging, WithAProgramIsWholeOnceTheContainerIsDeleted) {
  for (const char* scheme : {"binary", "binary-v2"}) {
    const std::string uri = logger(kKeeper, scheme) + "?web=a%20b";
    const Outcome outcome = run(
        "web", {"/bin/sh", "-c", "seq 1 100000; echo complaint >&2; exit 7"}, {"--log-uri", uri});
    EXPECT_EQ(outcome.exit_code, 7) << outcome;
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(written("web") == numbers(100000)) << written("web").size() << " bytes";
    EXPECT_EQ(written("web.err"), "complaint\n");
    EXPECT_EQ(written("web.end"), containerd_namespace_ + "/web: web a b\n");
  }
}

TEST_F(Logging, OfAnExecHasAProgramOfItsOwn) {
  const std::string uri = logger(kKeeper);
  run_detached("web", {"/bin/sleep", "1000"}, {"--log-uri", uri + "?init"});
  const std::vector<std::string> files = open_files_at_rest(only_shim().pid);
  const Outcome outcome =
      exec("web", {"/bin/sh", "-c", "echo from exec; exit 3"}, {"--log-uri", uri + "?exec"});
  EXPECT_EQ(outcome.exit_code, 3) << outcome;
  EXPECT_EQ(written("exec"), "from exec\n");
  EXPECT_EQ(written("exec.end"), containerd_namespace_ + "/exec-1: exec\n");
  EXPECT_TRUE(has_open_files(only_shim().pid, files));
  EXPECT_EQ(written("init"), "");
  remove("web");
  EXPECT_EQ(written("init.end"), containerd_namespace_ + "/web: init\n");
}

TEST_F(Logging, WithAProgramThatDiesLeavesTheContainerAlone) {
  const Outcome outcome =
      run("web", {"/bin/sh", "-c", "seq 1 200000; seq 1 200000 >&2; exit 5"},
          {"--log-uri", logger("exec 5>&-; head -c 100 <&3 >$dir/head; exit 1")});
  EXPECT_EQ(outcome.exit_code, 5) << outcome;
  EXPECT_EQ(written("head"), numbers(200000).substr(0, 100));
  EXPECT_TRUE(eventually([&] {
    return containerd_.log().find("logger exited before the end of the output") !=
           std::string::npos;
  }));
}

TEST_F(Logging, WithAProgramThatIsMissingFailsTheRun) {
  const Outcome outcome = run("web", {"/bin/true"}, {"--log-uri", "binary:///no/such/logger?a=b"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("/no/such/logger: no such file or directory"), std::string::npos)
      << outcome;
  ctr_({"container", "delete", "web"});
}

TEST_F(Logging, InAFileIsAppendedInDirectoriesThatAreMade) {
  const std::string uri = "file://" + shared().string() + "/a/b/web.log";
  for (int i : {1, 2}) {
    const Outcome outcome =
        run("web", {"/bin/sh", "-c", "echo run $0; echo error >&2", std::to_string(i)},
            {"--log-uri", uri});
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(outcome.out + outcome.err, "");
  }
  const std::string text = written("a/b/web.log");
  for (const char* line : {"run 1\n", "run 2\n", "error\n"})
    EXPECT_NE(text.find(line), std::string::npos) << text;
  EXPECT_EQ(text.size(), 24u) << text;
}

TEST_F(Logging, OnAFullDiskLeavesTheContainerAlone) {
  const fs::path disk = shared() / "disk";
  fs::create_directory(disk);
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k"), 0);
  const Outcome outcome = run("web", {"/bin/sh", "-c", "seq 1 200000; exit 6"},
                              {"--log-uri", "file://" + disk.string() + "/web.log"});
  EXPECT_EQ(outcome.exit_code, 6) << outcome;
  EXPECT_EQ(written("disk/web.log").size(), 65536u);
  EXPECT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(eventually(
      [&] { return containerd_.log().find("no space left on device") != std::string::npos; }));
}

}  // namespace
}  // namespace thinshim::test
