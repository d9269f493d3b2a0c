// SPDX-License-Identifier: Apache-2.0
#include "task/init_process.h"

#include <signal.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "oci/criu_files.h"
#include "oci/json.h"
#include "oci/rootfs.h"
#include "oci/sparse_json.h"
#include "process/lookup.h"
#include "process/run.h"

namespace thinshim {
namespace {

// How long undoing a create may take, where the runtime or a file system hangs, and of that the
// runtime's `state`.
constexpr Duration kUndoLimit = std::chrono::minutes(1);
constexpr Duration kStateLimit = std::chrono::seconds(10);

bool contains(const Error& error, const char* words) {
  return ::strcasestr(error.what(), words) != nullptr;
}

// The texts by which runc, crun and the kernel say that there is nothing to kill (containerd,
// cmd/containerd-shim-runc-v2/process/utils.go, checkKillError).
Error kill_error(const Error& error) {
  if (contains(error, "os: process already finished") || contains(error, "container not running") ||
      contains(error, "no such process"))
    return already_finished();
  return error.in("unknown error after kill");
}

Error with_log(const Error& failure, const Bundle& bundle) {
  return Error(failure.code(), std::string(failure.what()) + " path= " + bundle.criu_log());
}

}  // namespace

InitProcess::InitProcess(Reaper& reaper, Runtime runtime, Settings settings, Streams streams)
    : Process(reaper, settings.container, std::move(streams)),
      runtime_(std::move(runtime)),
      settings_(std::move(settings)) {}

Task<> InitProcess::create(MountList rootfs, std::optional<Image> image) {
  image_ = std::move(image);
  co_await look_up_root();
  const Runtime::Knows before = runtime_.knows(settings_.container);
  std::exception_ptr failure;
  try {
    co_await mount(std::move(rootfs));  // some are mounted where it is cancelled
    co_await create_container();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  co_await undo_create(before);
  std::rethrow_exception(failure);
}

// Runtime::knows() reads it in the loop.
Task<> InitProcess::look_up_root() {
  std::optional<Error> failure;
  try {
    co_await look_up(reaper_, runtime_.state_path(settings_.container), stop());
  } catch (const Error& error) {
    failure = error.in("OCI runtime create failed");
  }
  if (failure) throw *failure;
}

Task<> InitProcess::create_container() {
  if (image_) co_return;
  co_await open_io(settings_.io);
  Maker maker = [this](Runtime::Start start) {
    create_called_ = true;
    Runtime::Create options{settings_.bundle.path(), settings_.bundle.runtime_log(),
                            settings_.no_pivot, settings_.no_new_keyring, std::move(start)};
    return runtime_.create(settings_.container, std::move(options));
  };
  Runtime::PidFile pid_file{settings_.bundle.init_pid()};
  co_await make(std::move(pid_file), std::move(maker));
}

// The text is not enough: crun reports a missing state file like any missing file.
Task<bool> InitProcess::is_unknown_to_runtime(Error error) {
  if (!contains(error, "does not exist") && !contains(error, "no such file or directory"))
    co_return false;
  if (runtime_.knows(settings_.container) == Runtime::Knows::no) co_return true;
  try {
    const std::optional<Runtime::State> state =
        co_await runtime_.state(settings_.container, stop());
    co_return !state;
  } catch (const Error&) {
    co_return false;
  }
}

// A container that the runtime knew before is another's, and made create fail. One that has come
// since may be another's too.
Task<std::optional<bool>> InitProcess::is_created(Runtime::Knows before, Event* stop) {
  using Knows = Runtime::Knows;
  if (!create_called_ || before == Knows::yes || runtime_.knows(settings_.container) == Knows::no)
    co_return false;
  // make() has removed an older one.
  if (::access(settings_.bundle.init_pid().c_str(), F_OK) == 0) co_return true;
  try {
    const std::optional<Runtime::State> state = co_await runtime_.state(settings_.container, stop);
    if (!state) co_return true;  // at most half created
    if (!state->bundle.empty()) co_return is_same_file(state->bundle, settings_.bundle.path());
  } catch (const Error& error) {
    log::debug("failed to read the state after a failed create", {{"error", error.what()}});
  }
  if (before == Knows::no) co_return true;
  co_return std::nullopt;
}

// A runtime that was killed half way, or whose container could not be used, leaves something
// behind. Runs also where the verb was cancelled, with limits of its own.
Task<> InitProcess::undo_create(Runtime::Knows before) {
  Event over;
  Event asked;
  TaskSet limit;
  limit.spawn(set_later(reaper_.loop(), kStateLimit, asked), "limit of the runtime's state");
  limit.spawn(set_later(reaper_.loop(), kUndoLimit, over), "limit of undoing a create");
  const std::optional<bool> is_ours = co_await is_created(before, &asked);
  has_leftovers_ = !is_ours;
  try {
    Task<> removing = runtime_.remove(settings_.container, true, &over);
    if (is_ours.value_or(false)) co_await std::move(removing);
  } catch (const Error& error) {
    has_leftovers_ = runtime_.knows(settings_.container) != Runtime::Knows::no;
    log::debug("failed to clean up after a failed create", {{"error", error.what()}});
  }
  try {
    co_await unmount(&over);
  } catch (const Error& error) {
    has_leftovers_ = true;
    log::warning("failed to cleanup rootfs mount",
                 {{"id", settings_.container}, {"error", error.what()}});
  }
}

Task<> InitProcess::mount(MountList rootfs) {
  if (rootfs.empty()) co_return;
  std::string target = settings_.bundle.rootfs();
  Task<> mounting = run_forked(
      reaper_, "mount the root file system",
      [rootfs = std::move(rootfs), target] { mount_all(rootfs, target); }, stop());
  co_await std::move(mounting);
}

Task<> InitProcess::unmount(Event* stop) {
  std::string target = settings_.bundle.rootfs();
  Task<> unmounting =
      run_forked(reaper_, "unmount the root file system", [target] { unmount_all(target); }, stop);
  co_await std::move(unmounting);
}

Task<> InitProcess::start() {
  require(kInitRules, Verb::start);
  Task<> running = image_ ? restore() : runtime_.start(settings_.container, stop());
  co_await std::move(running);
}

Task<> InitProcess::restore() {
  // criu's logs stay there, as with the stock shim.
  const std::string work =
      settings_.criu_work.empty() ? settings_.bundle.work() : settings_.criu_work;
  Maker maker = [this, work](Runtime::Start start) {
    Runtime::Restore options{settings_.bundle.path(),
                             settings_.bundle.runtime_log(),
                             image_->path,
                             work,
                             image_->parent,
                             settings_.no_pivot,
                             std::move(start)};
    if (work.empty()) options.work_path = settings_.bundle.criu_work();
    return runtime_.restore(settings_.container, std::move(options));
  };
  // Not in create(): a client that deletes the container without a Start may wait for the end of
  // its streams first (Docker does).
  co_await open_io(settings_.io);
  std::optional<Error> failure;
  try {
    Runtime::PidFile pid_file{settings_.bundle.init_pid()};
    co_await make(std::move(pid_file), std::move(maker));
  } catch (const Error& error) {
    failure = error;
  }
  Task<> cleaning = clean_up_after_criu(work, failure ? "restore.log" : "");
  co_await std::move(cleaning);
  if (failure && ::access(settings_.bundle.criu_log().c_str(), F_OK) == 0)  // criu did run
    throw with_log(*failure, settings_.bundle);
  if (failure) throw *failure;
  image_.reset();
}

Task<> InitProcess::pause() {
  require(kInitRules, Verb::pause);
  pausing_ = true;
  std::exception_ptr failure;
  try {
    co_await runtime_.pause(settings_.container, stop());
  } catch (...) {
    failure = std::current_exception();
  }
  pausing_ = false;
  if (failure) std::rethrow_exception(failure);
  if (state_ == State::running) state_ = State::paused;  // it may have exited meanwhile
}

Task<> InitProcess::resume() {
  require(kInitRules, Verb::resume);
  co_await runtime_.resume(settings_.container, stop());
  if (state_ == State::paused) state_ = State::running;
}

Task<> InitProcess::update(std::string resources) {
  require(kInitRules, Verb::update);
  check_json_object(resources, "resources");
  resources = sparse_json(resources, "resources", {.maps = {"unified", "rdma"}});
  co_await runtime_.update(settings_.container, std::move(resources), stop());
}

Task<> InitProcess::checkpoint(Runtime::Checkpoint options) {
  require(kInitRules, Verb::checkpoint);
  const std::string work = options.work_path;
  if (work.empty()) options.work_path = settings_.bundle.criu_work();
  std::optional<Error> failure;
  try {
    co_await runtime_.checkpoint(settings_.container, std::move(options), stop());
  } catch (const Error& error) {
    failure = error;
  }
  Task<> cleaning = clean_up_after_criu(work, failure ? "dump.log" : "");
  co_await std::move(cleaning);
  if (failure) throw with_log(*failure, settings_.bundle);
}

// `work` is the directory that the client named for criu, and is kept; empty: the bundle's own,
// which is removed. `log` is criu's log in it, after a failure.
Task<> InitProcess::clean_up_after_criu(std::string work, std::string log) {
  const Bundle& bundle = settings_.bundle;
  try {
    Task<> cleaning =
        run_forked_within(reaper_, kUndoLimit, "clean up after criu",
                          [work, own = bundle.criu_work(), log, kept = bundle.criu_log()] {
                            std::exception_ptr failure;
                            try {
                              if (!log.empty())
                                copy_criu_log(join_path(work.empty() ? own : work, log), kept);
                            } catch (...) {
                              failure = std::current_exception();
                            }
                            if (work.empty()) remove_tree(own);
                            if (failure) std::rethrow_exception(failure);
                          });
    co_await std::move(cleaning);
  } catch (const Error& error) {
    log::warning("failed to clean up after criu",
                 {{"id", settings_.container}, {"error", error.what()}});
  }
}

void InitProcess::signal_directly(int number) const {
  require(kInitRules, Verb::kill);
  try {
    signal(number);
  } catch (const Error& error) {
    if (error.code() == Code::not_found) throw;
    throw kill_error(error);
  }
}

Task<> InitProcess::kill(int signal, bool all, bool thaw) {
  require(kInitRules, Verb::kill);
  if (dead() && !all) throw already_finished();
  Task<> killing = runtime_.kill(settings_.container, signal, all, stop());
  std::optional<Error> failure;
  try {
    co_await std::move(killing);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    const bool is_lost = co_await is_unknown_to_runtime(*failure);
    throw is_lost ? Error::not_found("no such container") : kill_error(*failure);
  }
  // runc's kill has thawed it, crun's has not.
  if (thaw) co_await this->thaw(stop());
}

Task<> InitProcess::thaw(Event* stop) {
  Task<> thawing = runtime_.resume(settings_.container, stop);
  try {
    co_await std::move(thawing);
  } catch (const Error& error) {
    log::debug("failed to resume a killed container", {{"error", error.what()}});
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
  std::optional<Error> failure;
  try {
    co_await runtime_.remove(settings_.container, false, stop());
  } catch (const Error& error) {
    failure = error;
  }
  // The runtime has removed the container itself, after a checkpoint for one.
  if (failure) {
    const bool is_lost = co_await is_unknown_to_runtime(*failure);
    if (is_lost) failure.reset();
  }
  co_await finish_io();
  try {
    co_await unmount(stop());
  } catch (const Error& error) {
    if (!failure) failure = error.in("failed rootfs umount");
  }
  if (failure) throw *failure;
  state_ = State::deleted;
}

}  // namespace thinshim
