// SPDX-License-Identifier: Apache-2.0
// Why an OCI runtime failed, in its own words: the last error in the log that it was told to write
// (`--log FILE --log-format json`), a JSON object per entry. runc (logrus) and crun write
// {"level":"error","msg":"...","time":"..."}, youki (tracing) {"level":"ERROR","message":"..."};
// each on a line, from crun 1.28 on on several, of which the first alone begins with a brace.
//
// The file belongs to a program that may have been killed while it wrote, so nothing in it is
// trusted: what is no such object is passed over, and no more than the last 64 KiB are read.
#pragma once

#include <optional>
#include <string>

namespace thinshim {

// The last error, without white space around it. Nothing where there is none, or no readable file.
std::optional<std::string> last_runtime_error(const std::string& path);

}  // namespace thinshim
