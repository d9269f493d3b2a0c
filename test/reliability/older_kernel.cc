// SPDX-License-Identifier: Apache-2.0
// Runs a program, and all that it starts, with system calls refused by a seccomp filter: as a
// kernel that lacks them does, with ENOSYS, or a container engine whose list of allowed calls is
// older than they are, with EPERM.
//
//   older_kernel ERRNO CALL PROGRAM [ARGUMENTS...]
//
// CALL is the number of one, or of 0 for every call that Linux 4.18 does not have.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "reliability/older_kernel.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const unsigned errnum = static_cast<unsigned>(std::atol(argv[1])) & SECCOMP_RET_DATA;
  const auto call = static_cast<unsigned>(std::atol(argv[2]));
  const auto newest = static_cast<unsigned>(thinshim::test::kNewestOfLinux418);
  const sock_filter refused = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum);
  const sock_filter allowed = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      allowed,
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      call == 0 ? sock_filter BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest, 0, 1)
                : sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      refused,
      allowed,
  };
  const sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
    std::perror("PR_SET_SECCOMP");
    return 125;
  }
  ::execv(argv[3], argv + 3);
  std::perror("exec");
  return 125;
}
