// SPDX-License-Identifier: Apache-2.0
// exit.json: how a container's init has ended, for `delete`, which containerd calls when the shim
// is dead, and with whose answer it tells the exit once more (containerd#14113, #14020).
//
// Its name is that of the newest release, 2.4.2. containerd's main (0a95d5b, #14113) calls the same
// thing exitstatus.json: a `delete` that may come before or after an upgrade reads both.
//
// The form is containerd's own (2.4.0 to 2.4.2, cmd/containerd-shim-runc-v2/runc/util.go):
// go-runc's Exit as Go's encoding/json writes it,
//
//   {"Timestamp":"2026-11-30T16:46:09.123456789Z","Pid":4711,"Status":7}
//
// the time in RFC 3339 with up to nine digits behind the second, and the status as shells write it.
// Like containerd's, our reader refuses a pid or a status that cannot be, and Go's zero time.
#pragma once

#include <string>
#include <string_view>

#include "process/reaper.h"

namespace thinshim {

std::string exit_to_json(const Exit& exit);
// Throws Error.
Exit exit_from_json(std::string_view json);

}  // namespace thinshim
