// SPDX-License-Identifier: Apache-2.0
// Why an OCI runtime failed, in its own words: the last error in the log that it was told to write
// (`--log FILE --log-format json`), one JSON object per line. runc (logrus) and crun write
// {"level":"error","msg":"...","time":"..."}, youki (tracing) {"level":"ERROR","message":"..."}.
//
// The file belongs to a program that may have been killed while it wrote, so nothing in it is
// trusted: lines that are no such objects are passed over, and no more than the last 64 KiB are
// read.
#pragma once

#include <optional>
#include <string>

namespace thinshim {

// The last error, without white space around it. Nothing where there is none, or no readable file.
std::optional<std::string> last_runtime_error(const std::string& path);

}  // namespace thinshim
