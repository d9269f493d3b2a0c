// SPDX-License-Identifier: Apache-2.0
// The Task API with everything behind it, in this process, made anew for each input; runtime.cc
// plays runc. When it goes, nothing may be left: no child, no descriptor, no handle of the loop, no
// container that nobody knows.
//
// In the sandbox (sandbox.h), where there are bundles b1 (with a pid namespace), b2 (without), b3
// (config.json is broken), b4 (there is none), and fifos in, out and err.
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
  // The far end of a new connection.
  Fd connect();
  // Waits for what was begun, for a short time: how far it gets in that makes no difference to what
  // must hold.
  Task<> settle();

 private:
  TaskService::Settings service_settings(Settings settings);

  InSandbox in_sandbox_;
  NoDescriptorLeft no_descriptor_left_;
  bool touched_ = false;  // a container was asked for: the ground has traces of it
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

  // Returns once the service has taken it all, or has closed.
  Task<> say(std::string bytes);
  // No more will be said.
  void end();
  // Waits until everything is heard: the service has closed.
  Task<> wait_closed();
  // Returns once there is an answer on `stream`, nothing where there is none in time.
  Task<std::optional<::ttrpc::Response>> answer(std::uint32_t stream, Duration limit);
  std::size_t answers() const { return answers_count_; }

 private:
  Task<> hear();
  void take(const Frame& frame);

  Loop& loop_;
  Fd socket_;
  Watch watch_;
  FrameDecoder decoder_;
  std::map<std::uint32_t, ::ttrpc::Response> answers_;
  std::size_t answers_count_ = 0;
  Event arrived_;
  Event closed_;
  TaskSet hearing_;
};

inline constexpr const char* kTask2 = "containerd.task.v2.Task";
inline constexpr const char* kTask3 = "containerd.task.v3.Task";

// A request as it goes over the wire.
std::string request_frame(std::uint32_t stream, const std::string& method, std::string payload,
                          std::int64_t timeout = 0, const char* service = kTask3);

}  // namespace thinshim::fuzz
