// SPDX-License-Identifier: Apache-2.0
// Foreign text inside a message of ours: whatever it holds, the message stays one line of printable
// ASCII. (Go refuses a protobuf string that is not UTF-8, so raw bytes in an error's text would
// cost its reader the whole answer.)
#pragma once

#include <string>
#include <string_view>

namespace thinshim {

// Backslashes, double quotes and whatever is not printable ASCII become escapes: \\ \" \n \t \r
// \xNN. What would be longer than `most` bytes is cut, never inside an escape, and ends in "...".
std::string escaped(std::string_view text, std::size_t most = std::string::npos);
// The same between double quotes.
std::string quoted(std::string_view text);

// The length of the UTF-8 sequence at the front of `text` (RFC 3629: no overlong forms, no
// surrogates, nothing beyond U+10FFFF); 0 where none stands there.
std::size_t utf8_length(std::string_view text);
// Whether the text may become a protobuf string as it is.
bool is_utf8(std::string_view text);

}  // namespace thinshim
