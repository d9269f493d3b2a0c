// SPDX-License-Identifier: Apache-2.0
#include "support/busybox.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "support/subprocess.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

std::string must_run(std::vector<std::string> argv) {
  const std::string program = argv[0];
  const Outcome outcome = run(std::move(argv));
  if (!outcome.ok()) throw std::runtime_error(program + " failed: " + outcome.err);
  return outcome.out;
}

std::string sha256(const fs::path& file) { return must_run({"sha256sum", file}).substr(0, 64); }

void write_file(const fs::path& file, const std::string& text) {
  std::ofstream stream(file);
  stream << text;
  stream.close();
  if (!stream) throw std::runtime_error("cannot write " + file.string());
}

}  // namespace

void make_busybox_tree(const fs::path& root) {
  for (const char* directory : {"bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"}) {
    fs::create_directories(root / directory);
  }
  fs::copy_file("/bin/busybox", root / "bin/busybox");
  if (run({"chroot", root, "/bin/busybox", "true"}).exit_code != 0) {
    throw std::runtime_error("/bin/busybox is not static: install the package busybox-static");
  }
  std::istringstream commands(must_run({"/bin/busybox", "--list"}));
  for (std::string command; std::getline(commands, command);) {
    if (command != "busybox") fs::create_symlink("busybox", root / "bin" / command);
  }
  write_file(root / "etc/passwd",
             "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n");
  write_file(root / "etc/group", "root:x:0:\nnogroup:x:65534:\n");
}

void make_image_archive(const fs::path& root, const fs::path& archive,
                        const std::string& reference) {
  const fs::path parts = archive.string() + ".parts";
  fs::create_directories(parts);
  must_run({"tar", "-C", root, "--numeric-owner", "--owner=0", "--group=0", "-cf",
            parts / "layer.tar", "."});
  write_file(
      parts / "config.json",
      R"({"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sh"]},)"
      R"("rootfs":{"type":"layers","diff_ids":["sha256:)" +
          sha256(parts / "layer.tar") + R"("]}})");
  write_file(parts / "manifest.json", R"([{"Config":"config.json","RepoTags":[")" + reference +
                                          R"("],"Layers":["layer.tar"]}])");
  must_run({"tar", "-C", parts, "-cf", archive, "manifest.json", "config.json", "layer.tar"});
  fs::remove_all(parts);
}

}  // namespace thinshim::test
