// SPDX-License-Identifier: Apache-2.0
#include "support/containerd.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

// Disabled plugins: CRI needs a network and a pulled image; the others look for devices and
// directories of the machine.
constexpr const char* kConfiguration = R"(version = 2
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.restart",
  "io.containerd.internal.v1.tracing",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]
)";

bool listens(const fs::path& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

std::string content(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace

Containerd::Containerd(fs::path directory, const fs::path& shim, const std::string& log_level)
    : directory_(std::move(directory)) {
  fs::create_directories(directory_ / "bin");
  fs::create_symlink(fs::canonical(shim), directory_ / "bin/containerd-shim-runc-v2");
  std::ofstream configuration(directory_ / "config.toml");
  configuration << kConfiguration << "root = " << directory_ / "root"
                << "\nstate = " << directory_ / "state" << "\n[grpc]\naddress = " << socket()
                << "\n[debug]\nlevel = \"" << log_level << "\"\n";
}

void Containerd::start() {
  SubprocessOptions options;
  options.directory = directory_;  // it looks for shims in its working directory before PATH
  options.log = directory_ / "log";
  const char* path = std::getenv("PATH");
  options.environment = {"PATH=" + (directory_ / "bin").string() + ":" +
                         (path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path)};
  // A shim that was built with sanitizers writes its reports here.
  for (const std::string& name : {std::string("ASAN_OPTIONS"), std::string("UBSAN_OPTIONS")}) {
    const char* value = std::getenv(name.c_str());
    options.environment.push_back(name + "=log_path=" + (directory_ / "report").string() +
                                  (value == nullptr ? "" : std::string(":") + value));
  }
  process_.emplace(std::vector<std::string>{"containerd", "-c", directory_ / "config.toml"},
                   std::move(options));
  const bool up = eventually([&] { return process_->has_ended() || listens(socket()); });
  if (!up || process_->has_ended())
    throw std::runtime_error("containerd does not start:\n" + log());
}

void Containerd::stop() { end_with(SIGTERM); }
void Containerd::kill() { end_with(SIGKILL); }

void Containerd::end_with(int signal) {
  process_->signal(signal);
  const bool too_long = process_->wait().timed_out;
  process_.reset();
  if (too_long) throw std::runtime_error("containerd does not end:\n" + log());
}

fs::path Containerd::bundles(const std::string& containerd_namespace) const {
  return directory_ / "state/io.containerd.runtime.v2.task" / containerd_namespace;
}

fs::path Containerd::work(const std::string& containerd_namespace) const {
  return directory_ / "root/io.containerd.runtime.v2.task" / containerd_namespace;
}

std::string Containerd::log() const { return content(directory_ / "log"); }

std::string Containerd::sanitizer_reports() const {
  std::string reports;
  for (const auto& entry : fs::directory_iterator(directory_)) {
    if (entry.path().filename().string().rfind("report.", 0) == 0) reports += content(entry.path());
  }
  return reports;
}

}  // namespace thinshim::test
