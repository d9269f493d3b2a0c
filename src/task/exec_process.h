// SPDX-License-Identifier: Apache-2.0
// A further process in a container that runs.
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
    std::string process;  // the JSON of an OCI process, its terminal set as the streams say
    ProcessIo::Settings io;
  };
  ExecProcess(Reaper& reaper, Runtime& runtime, std::string id, Settings settings, Streams streams);

  // Where it throws, those who wait for the exec are let go: there will be no exit.
  Task<> start();
  // Throws Error not_found where it is dead, failed_precondition where it never ran.
  void kill(int signal) const;
  Task<> remove();
  void resize(unsigned width, unsigned height) override;

 private:
  Task<> start_in_container();

  Runtime& runtime_;
  Settings settings_;
};

}  // namespace thinshim
