// SPDX-License-Identifier: Apache-2.0
#include "task/init_process.h"

#include <signal.h>
#include <strings.h>

#include "base/error.h"
#include "base/log.h"
#include "oci/unmount.h"
#include "process/run.h"

namespace thinshim {
namespace {

bool contains(const Error& error, const char* words) {
  return ::strcasestr(error.what(), words) != nullptr;
}

// The runtime says in words that there is nothing to kill. These are runc's, crun's and the
// kernel's (containerd, cmd/containerd-shim-runc-v2/process/utils.go, checkKillError).
Error kill_error(const Error& error) {
  if (contains(error, "os: process already finished") || contains(error, "container not running") ||
      contains(error, "no such process"))
    return Error::not_found("process already finished");
  if (contains(error, "does not exist")) return Error::not_found("no such container");
  return error.in("unknown error after kill");
}

}  // namespace

InitProcess::InitProcess(Reaper& reaper, Runtime runtime, Settings settings, Streams streams)
    : Process(reaper, settings.container, std::move(streams)),
      runtime_(std::move(runtime)),
      settings_(std::move(settings)) {}

Task<> InitProcess::create(MountList rootfs) {
  Task<> mounting = mount(std::move(rootfs));
  co_await std::move(mounting);
  // Another's, of which the runtime will tell us; it is not ours to undo.
  const bool taken = runtime_.knows(settings_.container);
  std::exception_ptr failure;
  try {
    Task<> creating = create_container();
    co_await std::move(creating);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  Task<> undoing = undo_create(taken);
  co_await std::move(undoing);
  std::rethrow_exception(failure);
}

Task<> InitProcess::create_container() {
  const Bundle& bundle = settings_.bundle;
  ProcessIo::Settings io{bundle.path(), settings_.container, settings_.io_uid, settings_.io_gid};
  Maker maker = [this](Runtime::Start start) {
    Runtime::Create options{settings_.bundle.path(), settings_.bundle.runtime_log(),
                            settings_.no_pivot, settings_.no_new_keyring, std::move(start)};
    return runtime_.create(settings_.container, std::move(options));
  };
  Task<> making = make(std::move(io), bundle.init_pid(), std::move(maker));
  co_await std::move(making);
}

// A runtime that was killed half way, or that made a container which we could not take over, leaves
// something behind. Not even a verb that was given up leaves it there.
Task<> InitProcess::undo_create(bool keep_container) {
  try {
    Task<> removing = runtime_.remove(settings_.container, true);
    if (!keep_container) co_await std::move(removing);
  } catch (const Error& error) {
    if (!contains(error, "does not exist"))
      log::debug("cleaning up after a failed create", {{"error", error.what()}});
  }
  try {
    Task<> unmounting = unmount(nullptr);
    co_await std::move(unmounting);
  } catch (const Error& error) {
    log::warning("failed to cleanup rootfs mount",
                 {{"id", settings_.container}, {"error", error.what()}});
  }
}

Task<> InitProcess::mount(MountList rootfs) {
  if (rootfs.empty()) co_return;
  std::string target = settings_.bundle.rootfs();
  Task<> mounting = run_forked(
      reaper_, [rootfs = std::move(rootfs), target] { mount_all(rootfs, target); }, stop());
  co_await std::move(mounting);
}

Task<> InitProcess::unmount(Event* stop) {
  std::string target = settings_.bundle.rootfs();
  Task<> unmounting = run_forked(reaper_, [target] { unmount_recursive(target); }, stop);
  co_await std::move(unmounting);
}

Task<> InitProcess::start() {
  require(kInitRules, Verb::start);
  // Its exit may be told while the runtime tries.
  if (dead()) throw refusal(State::stopped, Verb::start);
  Task<> running = runtime_.start(settings_.container, stop());
  co_await std::move(running);
  state_ = State::running;
}

Task<> InitProcess::kill(int signal, bool all) {
  require(kInitRules, Verb::kill);
  if (exit() && !all) throw Error::not_found("process already finished");
  Task<> killing = runtime_.kill(settings_.container, signal, all, stop());
  try {
    co_await std::move(killing);
  } catch (const Error& error) {
    throw kill_error(error);
  }
}

Task<> InitProcess::kill_all() {
  Task<> killing = runtime_.kill(settings_.container, SIGKILL, true);
  try {
    co_await std::move(killing);
  } catch (const Error& error) {
    throw error.in("OCI runtime killall failed");
  }
}

Task<> InitProcess::remove() {
  require(kInitRules, Verb::remove);
  std::exception_ptr failure;
  try {
    Task<> removing = runtime_.remove(settings_.container, false, stop());
    co_await std::move(removing);
  } catch (const Error& error) {
    // A checkpoint, for one, ends with the container removed by the runtime.
    if (!contains(error, "does not exist")) failure = std::current_exception();
  }
  Task<> finishing = finish_io();
  co_await std::move(finishing);
  try {
    Task<> unmounting = unmount(stop());
    co_await std::move(unmounting);
  } catch (const Error& error) {
    if (!failure) failure = std::make_exception_ptr(error.in("failed rootfs umount"));
  }
  if (failure) std::rethrow_exception(failure);
  state_ = State::deleted;
}

}  // namespace thinshim
