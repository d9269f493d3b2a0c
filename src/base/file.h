// SPDX-License-Identifier: Apache-2.0
// Small files, read and written as a whole, and paths.
//
// "Missing" below means ENOENT, ENOTDIR or, in /proc, ESRCH. All other errors throw Error, unless
// stated otherwise.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

// Reads `fd` to its end. Throws Error "CONTEXT: larger than N bytes" above `limit` bytes.
std::string read_all(int fd, std::size_t limit, const std::string& context);

// Whether the last component of a path may be a symbolic link. Not in a bundle: a user who can
// write there must not make the shim read or write another file (CVE-2026-50195).
enum class Links { refuse, follow };

// The file's content; nothing if it is missing. Throws Error above `limit` bytes.
std::optional<std::string> read_file(const std::string& path, std::size_t limit = 16u << 20,
                                     Links links = Links::refuse);

// readlink(2); nothing if the path is missing or not a link.
std::optional<std::string> read_link(const std::string& path);
// realpath(3); nothing if the directory is missing.
std::optional<std::string> real_path(const std::string& directory);
// False only if lstat(2) says that the path is missing. Does not throw: any other error is true.
bool may_exist(const std::string& path);

// Overwrites the file in place, or creates it with `mode`. Refuses a symbolic link.
void write_file(const std::string& path, std::string_view content, unsigned mode);

// The pid in a pid file; nothing if the file is missing. Throws Error if the content is not a
// positive number.
std::optional<int> read_pid_file(const std::string& path);

// "a/b" + "c" = "a/b/c".
std::string join_path(std::string_view directory, std::string_view name);
// dirname(3) and basename(3): what is before and after the last slash; "." without a slash.
std::string directory_of(std::string_view path);
std::string_view base_name(std::string_view path);

// The names in a directory without "." and ".."; none if it is missing.
std::vector<std::string> entries_of(const std::string& directory);

std::string working_directory();

// Whether both paths lead to the same inode, links followed. A missing file equals only its own
// path.
bool is_same_file(const std::string& one, const std::string& other);

// mkdir -p; directories that exist keep their mode.
void make_directories(const std::string& path, unsigned mode);

}  // namespace thinshim
