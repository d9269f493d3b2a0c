// SPDX-License-Identifier: Apache-2.0
// The bundle: the directory that containerd makes for a container, and the files that shims leave
// in it for whoever cleans up after them. That may be another version, or the stock shim: names,
// formats and modes are those of containerd 1.6 to 2.4 (cmd/containerd-shim-runc-v2/runc/
// container.go, pkg/shim/util_unix.go).
//
//   config.json  rootfs/  work -> ...  log     containerd's; in work/criu-work a checkpoint is made
//   address                                    where the group's shim listens (read by 1.6, 1.7)
//   s -> directory                             of the sockets, where the caller chose it (2.4)
//   options.json  runtime                      how to call the OCI runtime for this container
//   init.pid  EXEC.pid                         written by the OCI runtime
//   log.json                                   the OCI runtime's log
//   criu-dump.log                              why a checkpoint or a restore failed
//   exit.json                                  how init has ended (exit_json.h)
//   exitstatus.json                            the same by the name of containerd's main; only read
//   .call-N                                    of a call of the runtime (call_file.h)
//   ID.member                                  each other container of the shim (group_record.h)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "process/reaper.h"

namespace containerd::runc::v1 {
class Options;
}

namespace thinshim {

using RuncOptions = containerd::runc::v1::Options;

// Exec ids become file names here: check them first (base/identifier.h; all containerd versions
// from 1.6 on apply the same rule before a shim sees an id, so no legal client is refused).
class Bundle {
 public:
  explicit Bundle(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string config() const { return in("config.json"); }
  std::string rootfs() const { return in("rootfs"); }
  std::string runtime_log() const { return in("log.json"); }
  std::string criu_log() const { return in("criu-dump.log"); }
  // What containerd keeps for the container on a disk; empty where there is none, as with a client
  // that makes bundles itself.
  std::string work() const;
  // Where criu works on a checkpoint unless the client names a place, and only as long as it does.
  std::string criu_work() const;
  std::string init_pid() const { return in("init.pid"); }
  std::string exec_pid(const std::string& exec_id) const { return in(exec_id + ".pid"); }

  // What is written here is replaced as a whole: a reader sees the old content or the new one, also
  // where the shim is killed half way. Then a file is left over whose name is_unfinished(), as one
  // is of a call of the runtime.
  static bool is_unfinished(std::string_view name);

  void write_address(const std::string& address) const;
  // Nothing where the file is missing or empty.
  std::optional<std::string> read_address() const;

  void write_socket_dir(const std::string& directory) const;

  // The OCI runtime's name or path, as it is called for this container. Empty, as the stock shim
  // writes it where its client named none, stands for the default.
  void write_runtime(const std::string& binary_name) const;
  std::optional<std::string> read_runtime() const;

  void write_options(const RuncOptions& options) const;
  // Nothing where the file is missing; throws Error where it cannot be understood.
  std::optional<RuncOptions> read_options() const;

  // How init has ended, for whoever cleans up.
  void write_exit(const Exit& exit) const;
  // By either name, our own first. Nothing where the file is missing, or speaks of another process
  // than init.pid does: of an earlier one in the same bundle. Throws Error where it cannot be
  // understood.
  std::optional<Exit> read_exit() const;

 private:
  std::string in(std::string_view name) const;
  void replace(const std::string& name, const std::string& content) const;
  std::string path_;
};

// options.json is what Go's encoding/json makes of the generated struct: snake_case names in the
// order of the fields' numbers, fields with their zero value left out, <, > and & escaped.
std::string options_to_json(const RuncOptions& options);
// Unknown fields are ignored. Throws Error.
RuncOptions options_from_json(std::string_view json);

}  // namespace thinshim
