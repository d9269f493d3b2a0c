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
    throw Error::unknown("failed on purpose");
    co_return;
  }
  void on_shutdown(Shutdown& shutdown, const std::string& what,
                   Task<> (ShutdownTest::*work)(std::string)) {
    shutdown.on_shutdown(what, [this, what, work] { return (this->*work)(what); });
  }
  static Task<bool> ends(Loop& loop, Shutdown& shutdown, Duration limit) {
    co_return co_await within(loop, limit, shutdown.run());
  }
  Loop loop;
  std::vector<std::string> done;
};

using Words = std::vector<std::string>;

TEST_F(ShutdownTest, RunsItsCallbacksInReverseOrderOnceRequested) {
  Shutdown shutdown(loop, [] {});
  on_shutdown(shutdown, "first", &ShutdownTest::note);
  on_shutdown(shutdown, "second", &ShutdownTest::note_later);
  on_shutdown(shutdown, "third", &ShutdownTest::note);
  EXPECT_FALSE(loop.run(ends(loop, shutdown, 20ms)));
  EXPECT_EQ(done, Words());
  shutdown.request();
  shutdown.request();
  EXPECT_EQ(done, Words()) << "request() runs nothing itself";
  EXPECT_TRUE(loop.run(ends(loop, shutdown, 5s)));
  EXPECT_EQ(done, (Words{"third", "second", "first"}));
}

TEST_F(ShutdownTest, GoesOnIfACallbackFails) {
  Shutdown shutdown(loop, [] {});
  on_shutdown(shutdown, "first", &ShutdownTest::note);
  on_shutdown(shutdown, "second", &ShutdownTest::fail);
  on_shutdown(shutdown, "third", &ShutdownTest::fail);
  shutdown.request();
  EXPECT_TRUE(loop.run(ends(loop, shutdown, 5s)));
  EXPECT_EQ(done, (Words{"third", "second", "first"}));
}

TEST_F(ShutdownTest, IsRequestedBySigtermAndSigint) {
  for (int number : {SIGTERM, SIGINT}) {
    done.clear();
    Shutdown shutdown(loop, [] {});
    on_shutdown(shutdown, "work", &ShutdownTest::note);
    ::kill(::getpid(), number);
    EXPECT_TRUE(loop.run(ends(loop, shutdown, 5s)));
    EXPECT_EQ(done, Words{"work"});
  }
}

TEST_F(ShutdownTest, IsNotRequestedBySigusr1) {
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
