// SPDX-License-Identifier: Apache-2.0
#include "fuzz/live_service.h"

#include <ftw.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>

#include "base/proc.h"
#include "shim/config.h"
#include "shim/options.h"
#include "support/at_once.h"

namespace thinshim::fuzz {
namespace {

constexpr Duration kSettleLimit = 50ms;
constexpr Duration kEndLimit = 20s;  // for children that were killed

void make_bundle(const std::string& name, const std::optional<std::string>& config) {
  check(::mkdir(name.c_str(), 0777), "make a bundle");
  check(::mkdir((name + "/rootfs").c_str(), 0777), "make a bundle");
  if (config) write_file(name + "/config.json", *config, 0666);
}

void make_ground() {
  make_bundle("b1", R"({"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"}]}})");
  make_bundle("b2", R"({"ociVersion":"1.0.2","linux":{"uidMappings":)"
                    R"([{"containerID":0,"hostID":65534,"size":1}]}})");
  make_bundle("b3", R"({"linux":{"namespaces":[{"type":7)");
  make_bundle("b4", std::nullopt);
  for (const char* name : {"in", "out", "err"}) check(::mkfifo(name, 0666), "make a fifo");
  make_directories("root/fuzz", 0777);
}

int remove_entry(const char* path, const struct stat*, int, FTW* place) {
  const bool keep = place->level == 0 || std::strcmp(path, "./runc") == 0;
  return keep || ::remove(path) == 0 ? 0 : -1;
}

void clear_ground() {
  check(::nftw(".", remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), "clear the sandbox");
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

void kill_children() {
  for (pid_t pid : own_children()) ::kill(pid, SIGKILL);
}

Task<> until_childless(Loop& loop) {
  while (has_children()) {
    kill_children();  // again: killed processes may leave orphans
    co_await sleep(loop, 1ms);
  }
}

}  // namespace

void set_up_ground() {
  const std::string self = read_link("/proc/self/exe").value();
  const auto runtime = read_file(join_path(directory_of(self), "fuzz_runtime"));
  expect(runtime.has_value(), "fuzz_runtime is beside this program");
  // Before libFuzzer starts threads, which would get the signal in the reaper's place.
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  check(::sigprocmask(SIG_BLOCK, &children, nullptr), "block SIGCHLD");
  make_sandbox();
  Loop().close();  // libuv keeps some descriptors of its first loop
  InSandbox in_sandbox;
  write_file("runc", *runtime, 0755);
  make_ground();
}

LiveService::LiveService(Settings settings) {
  service_.emplace(*reaper_, events_, service_settings(settings));
  service_->serve(*server_);
}

TaskService::Settings LiveService::service_settings(Settings settings) {
  TaskService::Settings made;
  made.containerd_namespace = "fuzz";
  made.address = "unix:///fuzz";
  made.grace_period = 5ms;
  made.lifetime.shutdown_delay = 1ms;
  made.lifetime.expect_timeout = 5ms;
  made.lifetime.end = [] {};
  made.read_options = [this, settings](const wire::Any& request, const auto&) {
    touched_ = true;
    TaskService::Options options = task_options(resolve_options(request, Config()));
    options.runc.set_binary_name(settings.has_runtime ? kHere + "runc" : "no-such-runtime");
    options.runc.set_root(kHere + "root");
    options.stdio.drain_timeout = 1ms;
    options.stdio.allows_logger = [](const std::string&) { return false; };
    options.direct_signals = settings.direct_signals;
    return test::at_once(std::move(options));
  };
  return made;
}

Fd LiveService::connect() {
  int ends[2];
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), "socketpair");
  server_->adopt(Fd(ends[0]));
  return Fd(ends[1]);
}

Task<> LiveService::settle() {
  const std::uint64_t begin = loop_.now();
  while (service_->being_created() > 0 && Duration(loop_.now() - begin) < kSettleLimit)
    co_await sleep(loop_, 1ms);
  co_await yield(loop_);
}

LiveService::~LiveService() {
  expect(
      server_->connections() == 0 && server_->requests_in_flight() == 0 && server_->buffered() == 0,
      "nothing is left of a connection that has ended");
  expect(is_utf8(service_->describe()), "the state can be told");
  server_.reset();
  service_.reset();
  const bool childless = loop_.run(within(loop_, kEndLimit, until_childless(loop_)));
  expect(childless, "every child ends, and is reaped");
  reaper_.reset();
  expect(loop_.close() == 0, "the loop has no handle left");
  if (!touched_) return;
  clear_ground();
  make_ground();
}

Peer::Peer(Loop& loop, Fd socket)
    : loop_(loop), socket_(std::move(socket)), watch_(loop, socket_.get()) {
  receiving_.spawn(receive(), "hear");
}

Task<> Peer::send(std::string bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) co_return;
    if (n < 0) co_await watch_.writable();
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
}

void Peer::end() { ::shutdown(socket_.get(), SHUT_WR); }

Task<> Peer::wait_closed() { co_await closed_.wait(); }

Task<> Peer::receive() {
  for (;;) {
    char buffer[16 << 10];
    const ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) {
      co_await watch_.readable();
      continue;
    }
    if (n <= 0) break;
    std::string_view bytes(buffer, static_cast<std::size_t>(n));
    while (std::optional<Frame> frame = decoder_.next(bytes)) take(*frame);
    arrived_.set();
    arrived_.clear();
  }
  closed_.set();
  arrived_.set();
}

void Peer::take(const Frame& frame) {
  expect(frame.header.type == FrameType::response, "only responses are sent");
  expect(!frame.oversized(), "no answer is above the limit");
  ::ttrpc::Response response;
  expect(response.ParseFromString(frame.data), "an answer can be understood");
  ++answers_count_;
  answers_[frame.header.stream] = std::move(response);
}

Task<std::optional<::ttrpc::Response>> Peer::answer(std::uint32_t stream, Duration limit) {
  const std::uint64_t begin = loop_.now();
  for (;;) {
    const auto found = answers_.find(stream);
    if (found != answers_.end()) co_return found->second;
    const Duration gone_by(loop_.now() - begin);
    if (closed_.is_set() || gone_by >= limit) co_return std::nullopt;
    co_await TimedWait(loop_, arrived_, limit - gone_by);
  }
}

std::string request_frame(std::uint32_t stream, const std::string& method, std::string payload,
                          std::int64_t timeout, const char* service) {
  ::ttrpc::Request request;
  request.set_service(service);
  request.set_method(method);
  request.set_payload(std::move(payload));
  request.set_timeout_nano(timeout);
  const std::string data = request.SerializeAsString();
  std::string frame;
  append_frame_header(frame,
                      {static_cast<std::uint32_t>(data.size()), stream, FrameType::request, 0});
  return frame + data;
}

}  // namespace thinshim::fuzz
