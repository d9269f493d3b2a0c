// SPDX-License-Identifier: Apache-2.0
#include "support/own_namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "support/cgroups.h"
#include "support/temp_dir.h"

namespace thinshim::test {
namespace {

pid_t first_process = -1;

void end_the_world(int) {
  if (first_process > 0) kill(first_process, SIGKILL);
}

void check(int result, const std::string& what) {
  if (result != 0) throw std::system_error(errno, std::generic_category(), what);
}

int exit_code(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Makes the root directory of this process the root of its mount namespace. In a chroot the two
// differ, and then `runc exec` puts programs in the latter, and pivot_root can fail.
void leave_chroot() {
  const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  check(root < 0 ? -1 : 0, "open /");
  const int self = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  check(self < 0 ? -1 : 0, "open /proc/self/ns/mnt");
  check(setns(self, CLONE_NEWNS),
        "setns");  // the current one, but it changes to the namespace's root
  check(fchdir(root), "fchdir");
  close(root);
  close(self);
  check(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make the mounts private");
  const std::string path = std::filesystem::current_path();
  if (path == "/") return;  // there was no chroot
  check(mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr), "bind " + path);
  check(chdir(path.c_str()), "chdir " + path);
  check(static_cast<int>(syscall(SYS_pivot_root, ".", ".")), "pivot_root " + path);
  check(umount2(".", MNT_DETACH), "umount the old root");
  check(chdir("/"), "chdir /");
}

void mount_own(const std::filesystem::path& directory) {
  const std::filesystem::path working_directory = std::filesystem::current_path();
  check(unshare(CLONE_NEWNS), "unshare");
  leave_chroot();
  // As with systemd: containers expect a shared root; this one has no peers.
  check(mount("", "/", nullptr, MS_REC | MS_SHARED, nullptr), "make the mounts shared");
  check(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr), "mount /proc");
  std::filesystem::create_directories("/run/containerd");
  check(mount("tmpfs", "/run/containerd", "tmpfs", 0, "mode=711"), "mount /run/containerd");
  check(mount("tmpfs", directory.c_str(), "tmpfs", 0, "mode=711"), "mount " + directory.string());
  std::filesystem::current_path(working_directory);
}

// Process 1: reaps until the tests are done. When it exits, the kernel kills all that is left.
int be_init(const std::function<int(const World&)>& body, const World& world) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (systemd_makes_cgroups()) prctl(PR_SET_CHILD_SUBREAPER, 1);
  mount_own(world.directory);
  const pid_t tests = fork();
  check(tests < 0 ? -1 : 0, "fork");
  if (tests == 0) return body(world);
  for (;;) {
    int status = 0;
    const pid_t pid = wait(&status);
    if (pid == tests) {
      remove_cgroups_that_begin_with(
          world.name);  // processes frozen by cgroup v1 outlive process 1
      return exit_code(status);
    }
    check(pid < 0 && errno != EINTR ? -1 : 0, "wait");
  }
}

}  // namespace

int run_in_own_namespaces(const std::function<int(const World&)>& body) {
  TempDir directory;
  const std::filesystem::path path = directory.path();
  const World world = {path, path.filename().string()};
  const int our_pids = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (!systemd_makes_cgroups())
    check(unshare(CLONE_NEWPID), "unshare (are you root?)");  // for the next child
  first_process = fork();
  check(first_process < 0 ? -1 : 0, "fork");
  if (first_process == 0) {
    int result = 1;
    try {
      result = be_init(body, world);
    } catch (const std::exception& error) {
      fprintf(stderr, "%s\n", error.what());
    }
    exit(result);  // so that a leak checker examines what the tests leave
  }
  for (int number : {SIGTERM, SIGINT, SIGHUP}) signal(number, end_the_world);
  int status = 0;
  while (waitpid(first_process, &status, 0) < 0 && errno == EINTR) {
  }
  // The namespace is dead, so no process can be created in it; a leak checker needs one at the end.
  check(setns(our_pids, CLONE_NEWPID), "setns");
  close(our_pids);
  remove_cgroups_that_begin_with(world.name);
  return exit_code(status);
}

void end_everybody_else() {
  // All but process 1 and this one.
  if (!systemd_makes_cgroups()) kill(-1, SIGKILL);
}

}  // namespace thinshim::test
