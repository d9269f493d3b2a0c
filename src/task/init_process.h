// SPDX-License-Identifier: Apache-2.0
// A container's first process: the verbs that go through the runtime by the container's id.
#pragma once

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
    uid_t io_uid = 0;
    gid_t io_gid = 0;
  };
  InitProcess(Reaper& reaper, Runtime runtime, Settings settings, Streams streams);

  // Mounts the root file system, where there is something to mount, and has the runtime create the
  // container. Where it throws, nothing of that is left.
  Task<> create(MountList rootfs);
  Task<> start();
  // Throws Error not_found where the process, or the container, is gone.
  Task<> kill(int signal, bool all);
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
  Task<> undo_create(bool keep_container);

  Runtime runtime_;
  Settings settings_;
};

}  // namespace thinshim
