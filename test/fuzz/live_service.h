// SPDX-License-Identifier: Apache-2.0
// The whole service in this process, new for each input; runtime.cc imitates runc. Its destructor
// checks that nothing is left: no child, no descriptor, no handle of the loop, no forgotten
// container.
//
// It runs in the sandbox (sandbox.h) with the bundles b1 (with a pid namespace), b2 (without), b3
// (with a broken config.json), b4 (missing), and with fifos in, out and err.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "async/loop.h"
#include "fuzz/event_order.h"
#include "fuzz/fuzz.h"
#include "fuzz/sandbox.h"
#include "process/reaper.h"
#include "task.pb.h"
#include "task/service.h"
#include "ttrpc.pb.h"
#include "ttrpc/frame.h"
#include "ttrpc/server.h"

namespace thinshim::fuzz {

using namespace std::chrono_literals;

// Once, at the start of a process.
void set_up_ground();

class LiveService {
 public:
  struct Settings {
    bool has_runtime = true;  // otherwise every call of it fails
    bool direct_signals = true;
  };
  explicit LiveService(Settings settings);
  LiveService(const LiveService&) = delete;
  ~LiveService();

  Loop& loop() { return loop_; }
  Server& server() { return *server_; }
  // The client's end of a new connection.
  Fd connect();
  // Waits a short time for pending work: how much of it is done makes no difference to the
  // promises.
  Task<> settle();

 private:
  TaskService::Settings service_settings(Settings settings);

  InSandbox in_sandbox_;
  NoDescriptorLeft no_descriptor_left_;
  bool touched_ = false;  // a container was requested, so the directories may have changed
  Loop loop_;
  std::optional<Reaper> reaper_{loop_};
  EventOrder events_;
  std::optional<TaskService> service_;
  std::optional<Server> server_{loop_};
};

// Containerd's end of a connection.
class Peer {
 public:
  Peer(Loop& loop, Fd socket);

  // Returns when the service has read all, or has closed the connection.
  Task<> send(std::string bytes);
  // Ends the sending side.
  void end();
  // Reads until the service has closed the connection.
  Task<> wait_closed();
  // The answer on `stream`, or nothing after a timeout.
  Task<std::optional<::ttrpc::Response>> answer(std::uint32_t stream, Duration limit);
  std::size_t answers() const { return answers_count_; }

 private:
  Task<> receive();
  void take(const Frame& frame);

  Loop& loop_;
  Fd socket_;
  Watch watch_;
  FrameDecoder decoder_;
  std::map<std::uint32_t, ::ttrpc::Response> answers_;
  std::size_t answers_count_ = 0;
  Event arrived_;
  Event closed_;
  TaskSet receiving_;
};

inline constexpr const char* kTask2 = "containerd.task.v2.Task";
inline constexpr const char* kTask3 = "containerd.task.v3.Task";

// A request in the wire format.
std::string request_frame(std::uint32_t stream, const std::string& method, std::string payload,
                          std::int64_t timeout = 0, const char* service = kTask3);

}  // namespace thinshim::fuzz
