// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace thinshim::test {

// A task event as one line, "exit c1 e1 7": the last word of its topic, the container, the exec and
// the status, as far as the event has them. An exit of init has
// no exec.
std::string event_line(const std::string& topic, const std::string& message);

}  // namespace thinshim::test
