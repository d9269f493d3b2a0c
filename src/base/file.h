// SPDX-License-Identifier: Apache-2.0
// Whole small files, as bundles hold them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

// Reads from `fd` to the end; throws Error where more than `limit` bytes come ("CONTEXT: larger
// than N bytes").
std::string read_all(int fd, std::size_t limit, const std::string& context);

// Whether the last part of a path may be a symbolic link. In a bundle none is followed: whoever may
// write there must not make us read or write another file (CVE-2026-50195 was such a case).
enum class Links { refuse, follow };

// The file's content, or nothing where it does not exist. Other failures, and a size above `limit`,
// throw.
std::optional<std::string> read_file(const std::string& path, std::size_t limit = 16u << 20,
                                     Links links = Links::refuse);

// Where a symbolic link leads; nothing where there is none. Throws Error where that cannot be told.
std::optional<std::string> read_link(const std::string& path);
// The path of a directory without links; nothing where it is missing. Throws Error where that
// cannot be told.
std::optional<std::string> real_path(const std::string& directory);
// Whether there is something of this name, a link too. What cannot be told may be there.
bool may_exist(const std::string& path);

// Replaces the file's content in place (created with `mode`), where it is no link. Throws Error.
void write_file(const std::string& path, std::string_view content, unsigned mode);

// The pid written in a pid file: nothing where the file is missing; throws Error on any content but
// a positive number.
std::optional<int> read_pid_file(const std::string& path);

// "a/b" + "c" = "a/b/c".
std::string join_path(std::string_view directory, std::string_view name);
// What stands before and after the last slash; "." where there is no directory.
std::string directory_of(std::string_view path);
std::string_view base_name(std::string_view path);

// The names in a directory but "." and ".."; none where it is missing. Throws Error.
std::vector<std::string> entries_of(const std::string& directory);

std::string working_directory();

// Whether two names are of one file or directory, links followed. One that is missing is only
// itself. Throws Error where that cannot be told.
bool is_same_file(const std::string& one, const std::string& other);

// mkdir -p; directories that exist keep their mode. Throws Error.
void make_directories(const std::string& path, unsigned mode);

}  // namespace thinshim
