// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/syscall.h>

namespace thinshim::test {

// The largest system call number of Linux 4.18 (syscall_64.tbl).
inline constexpr long kNewestOfLinux418 = SYS_rseq;

// Stands for all system calls that Linux 4.18 does not have.
inline constexpr long kAllNewerCalls = 0;

// Installs a seccomp filter that refuses a system call to this process and its children: with
// ENOSYS, like a kernel without that call, or with EPERM, like a container engine whose allow list
// lacks it. Needs CAP_SYS_ADMIN. False with errno set on failure.
bool refuse_calls(long call, int errnum);

}  // namespace thinshim::test
