// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/syscall.h>

namespace thinshim::test {

// The last number that Linux 4.18 gave out; every later call has a larger one (syscall_64.tbl).
inline constexpr long kNewestOfLinux418 = SYS_rseq;

}  // namespace thinshim::test
