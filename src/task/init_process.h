// SPDX-License-Identifier: Apache-2.0
// A container's first process: the verbs that go through the runtime by the container's id.
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
    std::string criu_work;  // empty: as the bundle says
  };
  // The image of a process that is to be restored.
  struct Image {
    std::string path;
    std::string parent;
  };
  InitProcess(Reaper& reaper, Runtime runtime, Settings settings, Streams streams);

  // Mounts the root file system, where there is something to mount, and has the runtime create the
  // container; where there is an image to restore, start() does that, and opens the streams. Where
  // it throws, nothing of that is left, unless that cannot be told or done: then is_left().
  Task<> create(MountList rootfs, std::optional<Image> image);
  bool is_left() const { return left_; }
  Task<> start();
  Task<> pause();
  // While pause() is under way.
  bool pausing() const { return pausing_; }
  Task<> resume();
  // `resources` is the JSON of OCI LinuxResources. Throws Error invalid_argument where it is none.
  Task<> update(std::string resources);
  // Where it throws, criu's own log is in the bundle, and the error says where.
  Task<> checkpoint(Runtime::Checkpoint options);
  // Both throw Error not_found where the process, or the container, is gone. By the runtime, which
  // then thaws what it has killed:
  Task<> kill(int signal, bool all, bool thaw);
  // Without it; at any time, also while another verb is under way.
  void signal_directly(int signal) const;
  // Kills every process of the container, for one whose end the kernel does not see to.
  Task<> kill_all();
  // Removes what the runtime knows of the container, the streams and the root file system's mounts.
  // May be called again where it failed.
  Task<> remove();

  Runtime& runtime() { return runtime_; }

 private:
  Task<> mount(MountList rootfs);
  Task<> unmount(Event* stop);
  Task<> create_container();
  Task<> undo_create(Runtime::Knows before);
  // Whether what a failed create has left with the runtime is this container's; what the runtime
  // knew `before`. Nothing where it cannot be told.
  Task<std::optional<bool>> has_left_ours(Runtime::Knows before, Event* stop);
  // Whether the runtime has failed because it does not know the container any more: it says so, and
  // it is so.
  Task<bool> has_lost_it(Error error);
  Task<> restore();
  Task<> clean_up_after_criu(std::string work, std::string log);

  Runtime runtime_;
  Settings settings_;
  std::optional<Image> image_;  // as long as it is to be restored
  bool pausing_ = false;
  bool asked_ = false;  // whether the runtime was asked to create the container
  bool left_ = false;
};

}  // namespace thinshim
