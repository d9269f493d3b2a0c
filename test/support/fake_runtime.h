// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "support/temp_dir.h"

namespace thinshim::test {

// A program that plays runc, for the failures that runc does not produce on demand: a shell script
// with its state in files. Its containers are real processes of this machine, without namespaces,
// that nobody but a child subreaper reaps; they end by themselves after a minute.
//
// A container's program is what set_program() says, in shell; it runs once `start` is called. An
// exec runs the first of its process's args, in shell too: {"args":["exit 7"]}.
class FakeRuntime {
 public:
  FakeRuntime();

  std::string binary() const { return directory_ / "runc"; }
  // The same program by another name, which keeps its states as gVisor's runsc does, in
  // ROOT/ID_sandbox:ID.state.
  std::string as_gvisor() const { return directory_ / "runsc"; }
  std::string root() const { return directory_ / "root"; }

  void set_program(const std::string& id, const std::string& shell);

  // Every call so far as "VERB ID", with what matters of its options: "kill --all c1 9",
  // "delete --force c1".
  std::vector<std::string> calls() const;
  // Whether it keeps state of a container in this containerd namespace.
  bool knows(const std::string& containerd_namespace, const std::string& id) const;

  // What it was told with `update`; the arguments of the last `checkpoint` and `restore`.
  std::string resources() const { return read("resources"); }
  std::string arguments_of(const std::string& verb) const { return read(verb); }

  // What else it does, in shell: first of all, or as the last thing before it returns. Variables
  // are there for both: $id, $log, $bundle, $pid_file, $work, $image; behind the work $pid too.
  // What is set here changes what follows: pid_file=/dev/null, code=exec...
  void before(const std::string& verb, const std::string& shell);
  void after(const std::string& verb, const std::string& shell);
  // No more of that.
  void behave();

  // --- for before() and after()
  // Fails as runc does, with a reason in its log.
  static std::string fail(const std::string& reason);
  // Waits there until open(gate).
  std::string wait_for(const std::string& gate) const;
  void open(const std::string& gate) const;
  // Waits until the process that was just made is dead.
  static std::string wait_until_dead();

 private:
  std::string read(const std::string& name) const;
  void write(const std::string& name, const std::string& text, unsigned mode = 0644) const;

  TempDir directory_;
};

}  // namespace thinshim::test
