// SPDX-License-Identifier: Apache-2.0
#include "base/mountinfo.h"

#include <charconv>

#include "base/text.h"

namespace thinshim {

MountinfoLine take_mount(std::string_view& mountinfo) {
  std::string_view line = cut(mountinfo, '\n');
  MountinfoLine mount;
  for (int skipped = 0; skipped < 3; ++skipped) cut(line, ' ');
  mount.root = cut(line, ' ');
  mount.point = cut(line, ' ');
  while (!line.empty() && cut(line, ' ') != "-") {
  }
  mount.type = cut(line, ' ');
  cut(line, ' ');
  mount.super_options = line;
  return mount;
}

std::string unescape_mount(std::string_view field) {
  std::string text;
  while (!field.empty()) {
    unsigned byte = 0;
    const char* digits = field.data() + 1;
    if (field.front() == '\\' && field.size() > 3 &&
        std::from_chars(digits, digits + 3, byte, 8).ptr == digits + 3 && byte < 256) {
      text += static_cast<char>(byte);
      field.remove_prefix(4);
    } else {
      text += field.front();
      field.remove_prefix(1);
    }
  }
  return text;
}

}  // namespace thinshim
