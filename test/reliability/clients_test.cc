// SPDX-License-Identifier: Apache-2.0
// Clients that never read or send garbage cost a bounded amount, and do not affect other clients.
#include <arpa/inet.h>

#include <cstring>
#include <random>

#include "bench/costs.h"
#include "reliability/answers.h"
#include "reliability/fast_shim.h"
#include "reliability/scale.h"
#include "support/unix_socket.h"
#include "ttrpc.pb.h"

namespace thinshim::test {
namespace {

// As in the frame's header (ttrpc's PROTOCOL.md).
enum FrameType : char { kRequest = 1, kResponse = 2, kData = 3 };

class Clients : public FastShimTest {
 protected:
  Fd connect_raw() const {
    const sockaddr_un address =
        unix_address(read(bundle("c1") / "address").substr(std::strlen("unix://")));
    Fd socket(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    check(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "connect");
    set_nonblocking(socket.get(), true);
    return socket;
  }

  static std::string frame(std::uint32_t stream, char type, char flags, const std::string& data) {
    const std::uint32_t header[] = {htonl(static_cast<std::uint32_t>(data.size())), htonl(stream)};
    std::string bytes(reinterpret_cast<const char*>(header), sizeof header);
    bytes += type;
    bytes += flags;
    return bytes + data;
  }

  static std::string request(std::uint32_t stream, const std::string& method) {
    api::StateRequest state;
    state.set_id("c1");
    ttrpc::Request request;
    request.set_service("containerd.task.v3.Task");
    request.set_method(method);
    request.set_payload(state.SerializeAsString());
    return frame(stream, kRequest, 0, request.SerializeAsString());
  }

  // Sends what fits into the socket.
  static bool send(const Fd& socket, std::string& bytes) {
    const ssize_t n = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) bytes.erase(0, static_cast<std::size_t>(n));
    return n > 0 || errno == EAGAIN;
  }

  // Calls State on the connection of the test, and records how long the answer takes.
  void expect_answer(TaskCalls& shim) {
    answers_.time("State", [&] { EXPECT_EQ(shim.state("c1").status(), types::RUNNING); });
  }

  // `count` clients that call `method` as fast as they can and read nothing.
  void flood(int count, const std::string& method, double limit_each) {
    auto shim = run_fast("c1");
    const pid_t pid = only_shim().pid;
    const double before = bench::memory_of(pid).private_dirty;
    std::vector<Fd> sockets;
    std::vector<std::string> unsent(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) sockets.push_back(connect_raw());
    std::uint32_t stream = 1;
    double most = before;
    const auto end = Clock::now() + std::chrono::seconds(scaled(2, 10));
    while (Clock::now() < end) {
      for (int turn = 0; turn < 50; ++turn, stream += 2) {
        for (std::size_t i = 0; i < sockets.size(); ++i) {
          if (unsent[i].size() < 65536) unsent[i] += request(stream, method);
          EXPECT_TRUE(send(sockets[i], unsent[i])) << std::strerror(errno);
        }
      }
      expect_answer(*shim);
      most = std::max(most, bench::memory_of(pid).private_dirty);
      if (HasFailure()) break;
    }
    const std::string who = std::to_string(count) + " that ask for " + method + " and never read";
    figure(who + ": memory more for each, kB", (most - before) / count);
    if (has_measurable_memory(pid)) {
      EXPECT_LT((most - before) / count, limit_each);
    }
    answers_.report("there are " + who);
    sockets.clear();
    shim->end_container("c1");
    shim->until([&] {
      return !has_measurable_memory(pid) || bench::memory_of(pid).private_dirty < before + 100;
    });
    end_shim(*shim);
  }

  Answers answers_;
};

TEST_F(Clients, ThatAskForStateAndNeverReadCostABoundedAmount) { flood(1, "State", 8 << 10); }

TEST_F(Clients, ThatAskForWhatIsUnknownAndNeverReadCostABoundedAmount) {
  flood(20, "Dance", 8 << 10);
}

// Each request waits without end.
TEST_F(Clients, ThatWaitAndNeverReadCostABoundedAmount) { flood(1, "Wait", 4 << 10); }

TEST_F(Clients, ThatSendGarbageDoNotDisconnectOthers) {
  auto shim = run_fast("c1");
  expect_answer(*shim);
  std::mt19937 random(static_cast<unsigned>(scaled(1, 2)));
  const auto any = [&](unsigned below) { return static_cast<std::uint32_t>(random() % below); };
  const std::string good = request(1, "State");
  int frames = 0;
  const int rounds = scaled(300, 20000);
  for (int round = 0; round < rounds; ++round) {
    const Fd socket = connect_raw();
    std::string bytes;
    for (std::uint32_t n = any(20); n-- > 0; ++frames) {
      std::string data(any(4) == 0 ? any(100000) : any(60), static_cast<char>(any(256)));
      if (any(3) == 0) data = good.substr(10);
      for (std::uint32_t flips = any(3); flips-- > 0 && !data.empty();)
        data[any(static_cast<unsigned>(data.size()))] = static_cast<char>(any(256));
      const char type = any(4) == 0 ? static_cast<char>(any(256)) : static_cast<char>(any(3) + 1);
      const char flags = static_cast<char>(any(8));
      std::string whole = frame(any(100), type, flags, data);
      if (any(10) == 0) whole[any(4)] = static_cast<char>(any(256));  // the length is wrong
      bytes += whole;
    }
    for (int turn = 0; turn < 100 && !bytes.empty(); ++turn)
      if (!send(socket, bytes)) break;
    if (round % 10 == 0) expect_answer(*shim);
    EXPECT_TRUE(shim->client.connected());
    if (HasFailure()) break;
  }
  figure("connections of nonsense, none of which ended another", rounds);
  figure("frames in them", frames);
  answers_.report("there is nonsense on other connections");
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
