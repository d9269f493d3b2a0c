// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace thinshim {
namespace {

TEST(Error, AppendsTheClassThatClientsMatchOn) {
  EXPECT_STREQ(Error::not_found("container not created").what(),
               "container not created: not found");
  EXPECT_STREQ(Error::already_exists("id x").what(), "id x: already exists");
  EXPECT_EQ(Error::not_found("x").code(), Code::not_found);
}

TEST(Error, ErrnoTextBeginsInLowerCaseAsGoWritesIt) {
  EXPECT_EQ(errno_text(ENOENT), "no such file or directory");
  EXPECT_EQ(errno_text(EBUSY), "device or resource busy");
}

TEST(Error, KeepsTheErrnoThroughAddedContext) {
  try {
    try {
      throw_errno("open /x", ENOSPC);
    } catch (const Error& error) {
      throw error.in("write options");
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.errnum(), ENOSPC);
    EXPECT_STREQ(error.what(), "write options: open /x: no space left on device");
  }
}

}  // namespace
}  // namespace thinshim
