// SPDX-License-Identifier: Apache-2.0
// A container's first process: the verbs that call the runtime with the container's id.
#pragma once

#include <optional>
#include <string>

#include "oci/bundle.h"
#include "oci/rootfs.h"
#include "oci/runtime.h"
#include "task/process.h"

namespace thinshim {

class InitProcess : public Process {
 public:
  struct Settings {
    std::string container;
    Bundle bundle;
    bool no_pivot = false;
    bool no_new_keyring = false;
    ProcessIo::Settings io;
    std::string criu_work;  // empty: the bundle's (oci/bundle.h)
  };
  // The checkpoint to restore.
  struct Image {
    std::string path;
    std::string parent;
  };
  InitProcess(Reaper& reaper, Runtime runtime, Settings settings, Streams streams);

  // Mounts the root file system, if any, and has the runtime create the container. With an image,
  // start() opens the streams and restores it. Where it throws, everything was undone, unless
  // has_leftovers().
  Task<> create(MountList rootfs, std::optional<Image> image);
  bool has_leftovers() const { return has_leftovers_; }
  Task<> start();
  Task<> pause();
  // Whether pause() is under way.
  bool pausing() const { return pausing_; }
  Task<> resume();
  // `resources` is the JSON of OCI LinuxResources. Throws Error invalid_argument where it is not.
  Task<> update(std::string resources);
  // Where it throws, criu's log was copied to the bundle, and the error names it.
  Task<> checkpoint(Runtime::Checkpoint options);
  // Calls the runtime's `kill`, and its `resume` after that to `thaw` what it has killed. Throws
  // Error not_found where the process, or the container, is gone.
  Task<> kill(int signal, bool all, bool thaw);
  // kill(2), with the same errors; at any time, also while another verb is under way.
  void signal_directly(int signal) const;
  // Has the runtime kill every process of the container: without a pid namespace of its own the
  // kernel does not when init exits.
  Task<> kill_all();
  // Calls the runtime's `resume`, whatever the state. Logs a failure.
  Task<> thaw(Event* stop = nullptr);
  // Has the runtime delete the container, ends the streams, and unmounts the root file system. May
  // be called again where it failed.
  Task<> remove();

  Runtime& runtime() { return runtime_; }

 private:
  Task<> look_up_root();
  Task<> mount(MountList rootfs);
  Task<> unmount(Event* stop);
  Task<> create_container();
  Task<> undo_create(Runtime::Knows before);
  // Whether a failed create has left this container with the runtime, which knew one of its id
  // `before` or not. Nothing where that is unknown.
  Task<std::optional<bool>> is_created(Runtime::Knows before, Event* stop);
  // Whether the runtime failed because it does not know the container any more: the error says so,
  // and so does its `state`.
  Task<bool> is_unknown_to_runtime(Error error);
  Task<> restore();
  Task<> clean_up_after_criu(std::string work, std::string log);

  Runtime runtime_;
  Settings settings_;
  std::optional<Image> image_;  // until it is restored
  bool pausing_ = false;
  bool create_called_ = false;  // the runtime's
  bool has_leftovers_ = false;
};

}  // namespace thinshim
