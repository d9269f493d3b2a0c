// SPDX-License-Identifier: Apache-2.0
#include "oci/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/quote.h"

namespace thinshim {
namespace {

constexpr std::string_view kLowerdir = "lowerdir=";

struct Word {
  std::string_view word;
  unsigned long flags;
  bool clears = false;
};

constexpr Word kWords[] = {
    {"async", MS_SYNCHRONOUS, true},
    {"atime", MS_NOATIME, true},
    {"bind", MS_BIND},
    {"defaults", 0},
    {"dev", MS_NODEV, true},
    {"diratime", MS_NODIRATIME, true},
    {"dirsync", MS_DIRSYNC},
    {"exec", MS_NOEXEC, true},
    {"lazytime", MS_LAZYTIME},
    {"loud", MS_SILENT, true},
    {"mand", MS_MANDLOCK},
    {"noatime", MS_NOATIME},
    {"nodev", MS_NODEV},
    {"nodiratime", MS_NODIRATIME},
    {"noexec", MS_NOEXEC},
    {"nolazytime", MS_LAZYTIME, true},
    {"nomand", MS_MANDLOCK, true},
    {"norelatime", MS_RELATIME, true},
    {"nostrictatime", MS_STRICTATIME, true},
    {"nosuid", MS_NOSUID},
    {"nosymfollow", MS_NOSYMFOLLOW},
    {"rbind", MS_BIND | MS_REC},
    {"relatime", MS_RELATIME},
    {"remount", MS_REMOUNT},
    {"ro", MS_RDONLY},
    {"rw", MS_RDONLY, true},
    {"silent", MS_SILENT},
    {"strictatime", MS_STRICTATIME},
    {"suid", MS_NOSUID, true},
    {"symfollow", MS_NOSYMFOLLOW, true},
    {"sync", MS_SYNCHRONOUS},
};

constexpr Word kPropagationWords[] = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

template <std::size_t N>
const Word* find(const Word (&words)[N], std::string_view word) {
  for (const Word& entry : words)
    if (entry.word == word) return &entry;
  return nullptr;
}

// Splits at each `separator` that is neither escaped nor, with `quotes`, in double quotes.
std::vector<std::string> split(std::string_view text, char separator, bool quotes) {
  std::vector<std::string> parts(1);
  bool quoted_part = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      parts.back() += text[i++];
    } else if (text[i] == '"' && quotes) {
      quoted_part = !quoted_part;
    } else if (text[i] == separator && !quoted_part) {
      parts.emplace_back();
      continue;
    }
    parts.back() += text[i];
  }
  return parts;
}

}  // namespace

MountOptions parse_mount_options(const std::vector<std::string>& words) {
  MountOptions options;
  for (const std::string& word : words) {
    if (word.starts_with("X-containerd."))
      throw Error::unknown("internal mount option " + quoted(word) +
                           " was not consumed by the mount manager");
    if (const Word* known = find(kWords, word)) {
      options.flags = known->clears ? options.flags & ~known->flags : options.flags | known->flags;
    } else if (const Word* propagation = find(kPropagationWords, word)) {
      options.propagation = propagation->flags;
    } else if (word == "loop") {
      options.loop = true;
    } else if (word.starts_with("uidmap=")) {
      options.uidmap = word.substr(7);
    } else if (word.starts_with("gidmap=")) {
      options.gidmap = word.substr(7);
    } else {
      options.data.push_back(word);
    }
  }
  return options;
}

std::string join_data(const std::vector<std::string>& data) {
  std::string joined;
  for (const std::string& option : data) {
    if (&option != &data.front()) joined += ',';
    joined += option;
  }
  return joined;
}

std::vector<std::string> split_data(const std::vector<std::string>& data) {
  std::vector<std::string> result;
  for (const std::string& element : data) {
    std::vector<std::string> options = split(element, ',', true);
    std::move(options.begin(), options.end(), std::back_inserter(result));
  }
  return result;
}

std::size_t find_lowerdir(const std::vector<std::string>& data) {
  for (std::size_t i = 0; i < data.size(); ++i)
    if (data[i].starts_with(kLowerdir)) return i;
  return std::string::npos;
}

std::vector<std::string> lower_dirs(std::string_view option) {
  return split(option.substr(kLowerdir.size()), ':', false);
}

std::string lowerdir_option(const std::vector<std::string>& dirs) {
  std::string option(kLowerdir);
  for (const std::string& dir : dirs) {
    if (&dir != &dirs.front()) option += ':';
    option += dir;
  }
  return option;
}

std::string escape_layer(std::string_view path) {
  std::string escaped_path;
  for (char c : path) {
    if (c == ':' || c == ',' || c == '\\') escaped_path += '\\';
    escaped_path += c;
  }
  return escaped_path;
}

std::string unescape_layer(std::string_view path) {
  std::string plain;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) ++i;
    plain += path[i];
  }
  return plain;
}

std::optional<std::string> common_directory(const std::vector<std::string>& dirs) {
  std::string_view common;
  bool first = true;
  for (const std::string& dir : dirs) {
    if (dir.empty()) continue;  // marks the begin of data-only layers
    if (dir.front() != '/') return std::nullopt;
    if (first) common = dir;
    first = false;
    auto end = std::mismatch(common.begin(), common.end(), dir.begin(), dir.end()).first;
    common = common.substr(0, static_cast<std::size_t>(end - common.begin()));
  }
  common = common.substr(0, common.rfind('/') + 1);
  if (common.size() < 2) return std::nullopt;
  // A path equal to the common directory has no name in it; its parent does.
  for (const std::string& dir : dirs)
    if (dir == common) return common_directory({std::string(common.substr(0, common.size() - 1))});
  return std::string(common);
}

}  // namespace thinshim
