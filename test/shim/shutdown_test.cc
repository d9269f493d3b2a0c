// SPDX-License-Identifier: Apache-2.0
#include "shim/shutdown.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <stdexcept>

#include "base/error.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

class ShutdownTest : public testing::Test {
 public:
  Task<> note(std::string what) {
    done.push_back(what);
    co_return;
  }
  Task<> note_later(std::string what) {
    co_await sleep(loop, 5ms);
    done.push_back(what);
  }
  Task<> fail(std::string what) {
    done.push_back(what);
    throw Error::unknown("it does not want to");
    co_return;
  }
  void at_end(Shutdown& shutdown, const std::string& what,
              Task<> (ShutdownTest::*work)(std::string)) {
    shutdown.at_end(what, [this, what, work] { return (this->*work)(what); });
  }
  static Task<bool> ends(Loop& loop, Shutdown& shutdown, Duration limit) {
    co_return co_await within(loop, limit, shutdown.run());
  }
  Loop loop;
  std::vector<std::string> done;
};

using Words = std::vector<std::string>;

TEST_F(ShutdownTest, DoesItsWorkInReverseOnceItIsAskedFor) {
  Shutdown shutdown(loop, [] {});
  at_end(shutdown, "first", &ShutdownTest::note);
  at_end(shutdown, "second", &ShutdownTest::note_later);
  at_end(shutdown, "third", &ShutdownTest::note);
  EXPECT_FALSE(loop.run(ends(loop, shutdown, 20ms)));
  EXPECT_EQ(done, Words());
  shutdown.ask();
  shutdown.ask();
  EXPECT_EQ(done, Words()) << "not within whoever asks";
  EXPECT_TRUE(loop.run(ends(loop, shutdown, 5s)));
  EXPECT_EQ(done, (Words{"third", "second", "first"}));
}

TEST_F(ShutdownTest, GoesOnWhereOneFails) {
  Shutdown shutdown(loop, [] {});
  at_end(shutdown, "first", &ShutdownTest::note);
  at_end(shutdown, "second", &ShutdownTest::fail);
  at_end(shutdown, "third", &ShutdownTest::fail);
  shutdown.ask();
  EXPECT_TRUE(loop.run(ends(loop, shutdown, 5s)));
  EXPECT_EQ(done, (Words{"third", "second", "first"}));
}

TEST_F(ShutdownTest, IsAskedForByTheUsualSignals) {
  for (int number : {SIGTERM, SIGINT}) {
    done.clear();
    Shutdown shutdown(loop, [] {});
    at_end(shutdown, "work", &ShutdownTest::note);
    ::kill(::getpid(), number);
    EXPECT_TRUE(loop.run(ends(loop, shutdown, 5s)));
    EXPECT_EQ(done, Words{"work"});
  }
}

TEST_F(ShutdownTest, IsNotAskedForByOthers) {
  Shutdown shutdown(loop, [] {});
  for (int i = 0; i < 3; ++i) {
    ::kill(::getpid(), SIGUSR1);
    EXPECT_FALSE(loop.run(ends(loop, shutdown, 20ms)));
  }
  ::kill(::getpid(), SIGTERM);
  EXPECT_TRUE(loop.run(ends(loop, shutdown, 5s)));
}

}  // namespace
}  // namespace thinshim
