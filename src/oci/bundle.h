// SPDX-License-Identifier: Apache-2.0
// The bundle: the directory that containerd makes for a container, and the files that the shim
// keeps in it. `delete` reads them, which may be of another version or the stock shim's: names,
// formats and modes are those of containerd 1.6 to 2.4
// (cmd/containerd-shim-runc-v2/runc/container.go, pkg/shim/util_unix.go).
//
//   config.json  rootfs/  work -> ...  log     containerd's; checkpoints are made in work/criu-work
//   address                                    address of the group's shim (read by 1.6, 1.7)
//   s -> directory                             socket directory, where containerd sets it (2.4)
//   options.json  runtime                      options and name of the OCI runtime
//   init.pid  EXEC.pid                         written by the OCI runtime
//   log.json                                   log of the OCI runtime's create
//   criu-dump.log                              criu's log of a failed checkpoint or restore
//   exit.json                                  the exit of init (exit_json.h)
//   exitstatus.json                            the same in containerd's main branch; only read
//   .call-N                                    file of one call of the runtime (call_file.h)
//   ID.member                                  another container of the same shim (group_record.h)
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

// Exec ids become file names: the caller checks them first (base/identifier.h; containerd applies
// the same rule to ids since 1.6 or earlier).
class Bundle {
 public:
  explicit Bundle(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string config() const { return in("config.json"); }
  std::string rootfs() const { return in("rootfs"); }
  std::string runtime_log() const { return in("log.json"); }
  std::string criu_log() const { return in("criu-dump.log"); }
  // containerd's work directory of the container, on disk; empty where the bundle has none, as with
  // clients that make bundles themselves.
  std::string work() const;
  // criu's work directory where the client sets none; removed after the checkpoint.
  std::string criu_work() const;
  std::string init_pid() const { return in("init.pid"); }
  std::string exec_pid(const std::string& exec_id) const { return in(exec_id + ".pid"); }

  // Each write below replaces the file atomically. A shim that is killed during a write leaves a
  // temporary file behind. Whether `name` is that of such a file, or of a call of the runtime:
  static bool is_temporary(std::string_view name);

  void write_address(const std::string& address) const;
  // Nothing where the file is missing or empty.
  std::optional<std::string> read_address() const;

  void write_socket_dir(const std::string& directory) const;

  // Name or path of the container's OCI runtime. Empty: the default; the stock shim writes it so
  // where the client sets none.
  void write_runtime(const std::string& binary_name) const;
  std::optional<std::string> read_runtime() const;

  void write_options(const RuncOptions& options) const;
  // Nothing where the file is missing. Throws Error where it is invalid.
  std::optional<RuncOptions> read_options() const;

  // The exit of init, for `delete`.
  void write_exit(const Exit& exit) const;
  // From exit.json, else exitstatus.json. Nothing where the file is missing, or its pid is not that
  // of init.pid: then it belongs to an earlier container in the same bundle. Throws Error where the
  // file is invalid.
  std::optional<Exit> read_exit() const;

 private:
  std::string in(std::string_view name) const;
  void replace(const std::string& name, const std::string& content) const;
  std::string path_;
};

// options.json, as Go's encoding/json writes the generated struct: snake_case names in the order of
// the field numbers, zero values left out, <, > and & escaped.
std::string options_to_json(const RuncOptions& options);
// Unknown fields are ignored. Throws Error.
RuncOptions options_from_json(std::string_view json);

}  // namespace thinshim
