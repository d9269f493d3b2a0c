// SPDX-License-Identifier: Apache-2.0
// The program in a container that writes: `writer SIZE COUNT` writes SIZE bytes to stdout COUNT
// times, without end if that is 0: lines of 100 bytes, the same memory each time.
#include <unistd.h>

#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const unsigned long size = std::strtoul(argv[1], nullptr, 10);
  const unsigned long count = std::strtoul(argv[2], nullptr, 10);
  char* bytes = static_cast<char*>(std::malloc(size));
  if (!bytes) return 1;
  std::memset(bytes, 'x', size);
  for (unsigned long end = 100; end <= size; end += 100) bytes[end - 1] = '\n';
  for (unsigned long i = 0; count == 0 || i < count; ++i)
    for (unsigned long done = 0; done < size;) {
      const ssize_t written = ::write(1, bytes + done, size - done);
      if (written < 0) return 1;
      done += static_cast<unsigned long>(written);
    }
  return 0;
}
