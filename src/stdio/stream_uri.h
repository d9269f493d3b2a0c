// SPDX-License-Identifier: Apache-2.0
// How a client names a stream: a path, or a URI whose scheme says what lies behind it.
//
//   /run/x/stdout              a fifo, or any other file that is there
//   file:///var/log/c1.log     a file that is made and appended to
//   binary:///usr/bin/logger?key=value&...
//   binary-v2:///...           a program that takes the output (stdio/logger.h)
//
// These are read as Go's net/url reads them, for Go writes them: %XX in the path and the query, '+'
// for a blank in the query, a #fragment means nothing. Where Go passes over what it cannot read (a
// bad %, a host before the path), we refuse: somebody meant something by it.
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

// Throws Error invalid_argument. Schemes that are not listed above are passed on, their path as it
// stands.
StreamUri parse_stream_uri(const std::string& text);

}  // namespace thinshim
