// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "support/temp_dir.h"

namespace thinshim::test {

// A shell script that acts as runc, for failures that runc does not produce on demand. Its state is
// in files. Its containers are processes without namespaces, which a child subreaper must reap;
// they exit by themselves after a minute.
//
// `start` runs the container's shell code, set by set_program(). An exec runs the first of its args
// as shell code: {"args":["exit 7"]}.
class FakeRuntime {
 public:
  FakeRuntime();

  std::string binary() const { return directory_ / "runc"; }
  // The same program by another name, which keeps its states as gVisor's runsc does, in
  // ROOT/ID_sandbox:ID.state.
  std::string as_gvisor() const { return directory_ / "runsc"; }
  std::string root() const { return directory_ / "root"; }

  void set_program(const std::string& id, const std::string& shell);

  // All calls so far as "VERB ID" with the relevant options: "kill --all c1 9",
  // "delete --force c1".
  std::vector<std::string> calls() const;
  // Whether it has state of this container.
  bool knows(const std::string& containerd_namespace, const std::string& id) const;

  // The resources of the last `update`; the arguments of the last `checkpoint` and `restore`.
  std::string resources() const { return read("resources"); }
  std::string arguments_of(const std::string& verb) const { return read(verb); }

  // Adds shell code that runs first, or last before it exits. The code can read the variables $id,
  // $log, $bundle, $pid_file, $work, $image, and in after() $pid. What it assigns
  // changes what follows: pid_file=/dev/null, or code='exec ...', the container's shell code.
  void before(const std::string& verb, const std::string& shell);
  void after(const std::string& verb, const std::string& shell);
  // Removes all code that before() and after() added.
  void behave();

  // --- for before() and after()
  // Exits as a failed runc does, with the reason in its log.
  static std::string fail(const std::string& reason);
  // Blocks until open(gate).
  std::string wait_for(const std::string& gate) const;
  void open(const std::string& gate) const;
  // Blocks until the process that it has just created has exited.
  static std::string wait_until_dead();

 private:
  std::string read(const std::string& name) const;
  void write(const std::string& name, const std::string& text, unsigned mode = 0644) const;

  TempDir directory_;
};

}  // namespace thinshim::test
