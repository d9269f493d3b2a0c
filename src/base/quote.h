// SPDX-License-Identifier: Apache-2.0
// Untrusted text inside errors and log lines: escaped, so that a message stays one line of
// printable ASCII. (Go refuses a protobuf string that is not UTF-8: with raw bytes in an error's
// text, the client could not decode the response.)
#pragma once

#include <string>
#include <string_view>

namespace thinshim {

// Escapes backslashes, double quotes and all but printable ASCII: \\ \" \n \t \r \xNN. A result
// above `max` bytes is truncated, never inside an escape, and ends in "...".
std::string escaped(std::string_view text, std::size_t max = std::string::npos);
// The same in double quotes.
std::string quoted(std::string_view text);

// The length of the UTF-8 sequence at the front of `text` (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF); 0 if there is none.
std::size_t utf8_length(std::string_view text);
// Whether `text` is valid UTF-8, as a protobuf string must be.
bool is_utf8(std::string_view text);

}  // namespace thinshim
