// SPDX-License-Identifier: Apache-2.0
// exit.json: the exit of a container's init, for `delete`. containerd calls `delete` after the shim
// has died and publishes the exit that it prints (containerd#14113, #14020).
//
// The name is that of containerd 2.4.2. containerd's main (0a95d5b, #14113) calls the file
// exitstatus.json; `delete` reads both, because it may run before or after an upgrade.
//
// The format is containerd's (2.4.0 to 2.4.2, cmd/containerd-shim-runc-v2/runc/util.go): go-runc's
// Exit as Go's encoding/json writes it,
//
//   {"Timestamp":"2026-11-30T16:46:09.123456789Z","Pid":4711,"Status":7}
//
// with an RFC 3339 time of up to nine fractional digits, and a shell's status (128 + signal). As in
// containerd, impossible pids and statuses and Go's zero time are errors.
#pragma once

#include <string>
#include <string_view>

#include "process/reaper.h"

namespace thinshim {

std::string exit_to_json(const Exit& exit);
// Throws Error.
Exit exit_from_json(std::string_view json);

}  // namespace thinshim
