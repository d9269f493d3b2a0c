// SPDX-License-Identifier: Apache-2.0
#include "support/older_kernel.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cstddef>
#include <iterator>

namespace thinshim::test {

bool refuse_calls(long call, int errnum) {
  const auto number = static_cast<unsigned>(call == kAllNewerCalls ? kNewestOfLinux418 : call);
  const auto answer = SECCOMP_RET_ERRNO | (static_cast<unsigned>(errnum) & SECCOMP_RET_DATA);
  const unsigned short compare = call == kAllNewerCalls ? BPF_JGT : BPF_JEQ;
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      {static_cast<unsigned short>(BPF_JMP | compare | BPF_K), 0, 1, number},
      BPF_STMT(BPF_RET | BPF_K, answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace thinshim::test
