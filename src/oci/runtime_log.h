// SPDX-License-Identifier: Apache-2.0
// The last error in an OCI runtime's log (`--log FILE --log-format json`), which holds a JSON
// object per entry. runc (logrus) and crun write {"level":"error","msg":"...","time":"..."}, youki
// (tracing) {"level":"ERROR","message":"..."}. An entry is one line; since crun 1.28 it is several
// lines, of which only the first begins with a brace.
//
// The content is not trusted: the runtime may have been killed during a write. Other text is
// skipped, and only the last 64 KiB are read.
#pragma once

#include <optional>
#include <string>

namespace thinshim {

// The last error, without white space around it; nothing where the log has none. Throws Error
// "open PATH: reason" or "read PATH: reason" where the log cannot be read.
std::optional<std::string> last_runtime_error(const std::string& path);

}  // namespace thinshim
