// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/syscall.h>

namespace thinshim::test {

// The last number that Linux 4.18 gave out; every later call has a larger one (syscall_64.tbl).
inline constexpr long kNewestOfLinux418 = SYS_rseq;

// In place of a call's number: every call that Linux 4.18 does not have.
inline constexpr long kAllNewerCalls = 0;

// From here on, a seccomp filter refuses a system call to this process and to all that it starts:
// as a kernel that lacks it does, with ENOSYS, or a container engine whose list of allowed calls is
// older than it is, with EPERM. Needs CAP_SYS_ADMIN. False, with errno set, where it is not done.
bool refuse_calls(long call, int errnum);

}  // namespace thinshim::test
