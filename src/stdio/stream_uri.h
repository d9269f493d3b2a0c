// SPDX-License-Identifier: Apache-2.0
// Parser for the stdin, stdout and stderr of a request: a path, or a URI.
//
//   /run/x/stdout              a fifo, or another file that exists
//   file:///var/log/c1.log     a file that is created and appended to
//   binary:///usr/bin/logger?key=value&...
//   binary-v2:///...           a program that gets the output (stdio/logger.h)
//
// Decodes as Go's net/url, because clients encode with it: %XX in path and query, '+' for a blank
// in the query; a #fragment is ignored. Go also ignores invalid escapes in the query and a host
// before the path; here they are errors, because such a URI is a mistake of the client.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace thinshim {

struct StreamUri {
  std::string scheme;                                      // "fifo" for a bare path
  std::string path;                                        // absolute with the schemes above
  std::vector<std::pair<std::string, std::string>> query;  // in the order written
};

// Throws Error invalid_argument. With any other scheme, the path is not decoded.
StreamUri parse_stream_uri(const std::string& text);

}  // namespace thinshim
