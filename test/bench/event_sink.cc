// SPDX-License-Identifier: Apache-2.0
#include "bench/event_sink.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "events.pb.h"
#include "support/eventually.h"
#include "support/unix_socket.h"
#include "ttrpc/server.h"
#include "wire.pb.h"

namespace thinshim::bench {
namespace {

using Count = std::atomic<std::uint64_t>;

struct Service {
  Count& count;
  Task<wire::Empty> forward(containerd::services::events::ttrpc::v1::ForwardRequest) {
    ++count;
    co_return wire::Empty();
  }
};

[[noreturn]] void serve(Fd listener, Count& count) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Loop loop;
  Service service{count};
  Server server(loop);
  server.add("containerd.services.events.ttrpc.v1.Events", "Forward", service, &Service::forward);
  Task<> serving = server.serve(std::move(listener));
  loop.run(std::move(serving));
  ::_exit(0);
}

}  // namespace

EventSink::EventSink(const std::string& path) : path_(path) {
  void* shared =
      ::mmap(nullptr, sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw_errno("share memory");
  count_ = new (shared) Count(0);
  Fd listener = test::listen_at(path);
  pid_ = check(::fork(), "fork");
  if (pid_ == 0) serve(std::move(listener), *count_);
}

EventSink::~EventSink() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void EventSink::expect(std::uint64_t count) const {
  if (!test::eventually([&] { return *count_ >= count; }))
    throw Error::unknown(std::to_string(count - *count_) + " events are missing");
}

}  // namespace thinshim::bench
