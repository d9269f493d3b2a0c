// SPDX-License-Identifier: Apache-2.0
// A process that Exec adds to a container.
#pragma once

#include <string>

#include "oci/bundle.h"
#include "oci/runtime.h"
#include "task/process.h"

namespace thinshim {

class ExecProcess : public Process {
 public:
  struct Settings {
    std::string container;
    Bundle bundle;
    std::string process;  // the JSON of an OCI process, with `terminal` as in the streams
    ProcessIo::Settings io;
  };
  ExecProcess(Reaper& reaper, Runtime& runtime, std::string id, Settings settings, Streams streams);

  // Where it throws there will be no exit, and all that wait for it are woken.
  Task<> start();
  // Throws Error not_found where the process is dead, failed_precondition before its start.
  void kill(int signal) const;
  Task<> remove();
  void resize(unsigned width, unsigned height) override;

 private:
  Task<> start_in_container();

  Runtime& runtime_;
  Settings settings_;
};

}  // namespace thinshim
