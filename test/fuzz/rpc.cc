// SPDX-License-Identifier: Apache-2.0
// Calls of the Task API, and of the socket's messages from `start`, to a live service. The input: a
// byte that selects the world, then calls: a byte for the method, one for how it is called, two for
// the length of its payload, and the payload. Processes of a run can be killed afterwards.
#include <signal.h>

#include "fuzz/live_service.h"
#include "fuzz/wire_mutator.h"

namespace thinshim::fuzz {
namespace {

namespace api = containerd::task::v3;

template <class Response>
bool can_parse(const std::string& payload) {
  return Response().ParseFromString(payload);
}

struct Method {
  const char* name;
  bool (*can_parse)(const std::string& payload);
  const char* service = nullptr;  // nullptr: the Task API, of either version
};
constexpr Method kMethods[] = {{"Create", can_parse<api::CreateTaskResponse>},
                               {"Start", can_parse<api::StartResponse>},
                               {"Exec", can_parse<wire::Empty>},
                               {"Kill", can_parse<wire::Empty>},
                               {"Delete", can_parse<api::DeleteResponse>},
                               {"State", can_parse<api::StateResponse>},
                               {"Wait", can_parse<api::WaitResponse>},
                               {"Pids", can_parse<api::PidsResponse>},
                               {"Pause", can_parse<wire::Empty>},
                               {"Resume", can_parse<wire::Empty>},
                               {"Update", can_parse<wire::Empty>},
                               {"Checkpoint", can_parse<wire::Empty>},
                               {"Stats", can_parse<api::StatsResponse>},
                               {"ResizePty", can_parse<wire::Empty>},
                               {"CloseIO", can_parse<wire::Empty>},
                               {"Connect", can_parse<api::ConnectResponse>},
                               {"Shutdown", can_parse<wire::Empty>},
                               {kExpect, can_parse<wire::Empty>, kStartService}};
constexpr unsigned kMethodCount = std::size(kMethods);

// Bits of the first byte.
constexpr unsigned kNoRuntime = 1;
constexpr unsigned kDirectSignals = 2;
// Bits of how a call is made.
constexpr unsigned kNotAwaited = 1;
constexpr unsigned kShortOfTime = 2;     // with a deadline of a millisecond
constexpr unsigned kClientGoesAway = 4;  // immediately
constexpr unsigned kVersion2 = 8;
constexpr unsigned kWays = 16;

struct Call {
  unsigned method = 0;
  unsigned way = 0;
  std::string payload;
};

std::vector<Call> calls_in(std::string_view input) {
  std::vector<Call> calls;
  while (!input.empty()) {
    Call call{take_byte(input) % kMethodCount, take_byte(input), {}};
    std::size_t size = take_byte(input);
    size |= take_byte(input) << 8;
    call.payload = take(input, size);
    calls.push_back(std::move(call));
  }
  return calls;
}

std::string written(unsigned ground, const std::vector<Call>& calls) {
  std::string input(1, static_cast<char>(ground));
  for (const Call& call : calls) {
    const std::size_t size = std::min<std::size_t>(call.payload.size(), 0xffff);
    for (std::size_t byte : {std::size_t(call.method), std::size_t(call.way), size, size >> 8})
      input += static_cast<char>(byte);
    input += call.payload.substr(0, size);
  }
  return input;
}

// --- running them

constexpr Duration kAnswerLimit = 20ms;
constexpr Duration kWaitLimit = 2ms;  // mostly there is no answer
constexpr Duration kEndLimit = 15s;
constexpr std::size_t kMostCalls = 24;

class Client {
 public:
  explicit Client(LiveService& live) : live_(live), peer_(live.loop(), live.connect()) {}
  ~Client() {
    peer_.end();
    live_.loop().run(peer_.wait_closed());
  }
  std::optional<::ttrpc::Response> call(const char* method, const std::string& payload,
                                        Duration limit, std::int64_t timeout = 0,
                                        const char* service = kTask3) {
    stream_ += 2;
    live_.loop().run(peer_.send(request_frame(stream_, method, payload, timeout, service)));
    return live_.loop().run(peer_.answer(stream_, limit));
  }

 private:
  LiveService& live_;
  Peer peer_;
  std::uint32_t stream_ = static_cast<std::uint32_t>(-1);
};

void check_state(const std::string& payload) {
  api::StateResponse state;
  expect(state.ParseFromString(payload), "a state can be understood");
  for (const std::string* text :
       {&state.id(), &state.bundle(), &state.stdin(), &state.stdout(), &state.stderr()})
    expect(!has_nul(*text), "no path is cut short where it is used");
  const bool stopped = state.status() == containerd::v1::types::STOPPED;
  expect(state.exit_status() == 0 || stopped, "a running process has no exit status");
}

void play(LiveService& live, Client& client, const Call& call) {
  const Method& method = kMethods[call.method];
  Duration limit = kAnswerLimit;
  const std::int64_t timeout = call.way & kShortOfTime ? 1'000'000 : 0;
  const char* service = call.way & kVersion2 ? kTask2 : kTask3;
  if (method.service) service = method.service;
  if (std::string_view(method.name) == "Wait") limit = kWaitLimit;
  if (call.way & kNotAwaited) limit = 0ms;
  std::optional<::ttrpc::Response> answer;
  if (call.way & kClientGoesAway)
    Client(live).call(method.name, call.payload, 0ms, timeout, service);
  else
    answer = client.call(method.name, call.payload, limit, timeout, service);
  if (!answer || answer->status().code() != 0) return;
  expect(method.can_parse(answer->payload()), "the answer is the method's");
  if (std::string_view(method.name) == "State") check_state(answer->payload());
}

std::string payload_for(const std::string& id) {
  api::StateRequest request;
  request.set_id(id);
  return request.SerializeAsString();
}

bool exists(Client& client, const std::string& id) {
  const auto answer = client.call("State", payload_for(id), kEndLimit);
  expect(answer.has_value(), "State is answered");
  return answer->status().code() == 0;
}

// As containerd's client does, until it succeeds.
void end_container(LiveService& live, Client& client, const std::string& id) {
  api::KillRequest kill;
  kill.set_id(id);
  kill.set_signal(SIGKILL);
  kill.set_all(true);
  std::string why_not_killed, why_not_deleted;
  const std::uint64_t begin = live.loop().now();
  while (exists(client, id)) {
    if (Duration(live.loop().now() - begin) > kEndLimit) {
      std::fprintf(stderr, "Kill: %s\nDelete: %s\n", why_not_killed.c_str(),
                   why_not_deleted.c_str());
      expect(false, "every container can be deleted");
    }
    const auto killed = client.call("Kill", kill.SerializeAsString(), kEndLimit);
    expect(killed.has_value(), "Kill is answered");
    why_not_killed = killed->status().message();
    const auto removed = client.call("Delete", payload_for(id), kEndLimit);
    expect(removed.has_value(), "Delete is answered");
    why_not_deleted = removed->status().message();
    if (removed->status().code() != 0) live.loop().run(live.settle());
  }
}

void run(unsigned ground, const std::vector<Call>& calls) {
  LiveService live({!(ground & kNoRuntime), (ground & kDirectSignals) != 0});
  Client client(live);
  std::set<std::string> ids;
  for (std::size_t i = 0; i < std::min(calls.size(), kMostCalls); ++i) {
    play(live, client, calls[i]);
    api::CreateTaskRequest request;
    if (calls[i].method == 0 && request.ParseFromString(calls[i].payload)) ids.insert(request.id());
  }
  live.loop().run(live.settle());
  if (ground & kNoRuntime) return;
  for (const std::string& id : ids) end_container(live, client, id);
}

// --- generating them

template <std::size_t N>
std::string one_of(const char* const (&words)[N], std::mt19937& random) {
  return words[random() % N];
}

std::string stream(std::mt19937& random) {
  constexpr const char* kStreams[] = {"", "", "in", "out", "err", "b1", "none", "/dev/null"};
  constexpr const char* kSchemes[] = {"", "", "", "", "file://", "binary://", "x://"};
  const std::string name = one_of(kStreams, random);
  if (name.empty() || name.front() == '/') return name;
  return one_of(kSchemes, random) + kHere + name;
}

void set_ids(auto& request, std::mt19937& random) {
  constexpr const char* kExecs[] = {"", "", "", "e1", "e2", "init"};
  request.set_id(random() % 4 ? "c1" : "c2");
  if constexpr (requires { request.set_exec_id(""); }) request.set_exec_id(one_of(kExecs, random));
}

void set_streams(auto& request, std::mt19937& random) {
  if (random() % 2) return;
  request.set_stdin(stream(random));
  request.set_stdout(stream(random));
  request.set_stderr(stream(random));
  request.set_terminal(random() % 4 == 0);
}

std::string create_request(std::mt19937& random) {
  constexpr const char* kBundles[] = {"b1", "b1", "b1", "b2", "b2", "b3", "b4", "none"};
  constexpr const char* kOptions[] = {"", "", "containerd.runc.v1.Options",
                                      "runtimeoptions.v1.Options", "x"};
  api::CreateTaskRequest request;
  set_ids(request, random);
  request.set_bundle(kHere + one_of(kBundles, random));
  set_streams(request, random);
  request.mutable_options()->set_type_url(one_of(kOptions, random));
  if (random() % 16 == 0) request.set_checkpoint(kHere + "b4");
  if (random() % 16 == 0) {
    containerd::types::Mount& mount = *request.add_rootfs();
    mount.set_type(random() % 2 ? "overlay" : "bind");
    mount.set_source("/");
    mount.add_options(random() % 2 ? "lowerdir=/a:/b" : "rbind");
  }
  return request.SerializeAsString();
}

std::string exec_request(std::mt19937& random) {
  constexpr const char* kProcesses[] = {R"({"args":["exit"]})", R"({"args":["sleep"]})", "{}", "["};
  api::ExecProcessRequest request;
  set_ids(request, random);
  if (random() % 8) request.set_exec_id(random() % 2 ? "e1" : "e2");
  set_streams(request, random);
  request.mutable_spec()->set_value(one_of(kProcesses, random));
  return request.SerializeAsString();
}

std::string kill_request(std::mt19937& random) {
  constexpr unsigned kNumbers[] = {0, 1, SIGKILL, SIGKILL, SIGTERM, SIGSTOP, SIGCONT, 64, 65, ~0u};
  api::KillRequest request;
  set_ids(request, random);
  request.set_signal(kNumbers[random() % std::size(kNumbers)]);
  request.set_all(random() % 4 == 0);
  return request.SerializeAsString();
}

std::string checkpoint_request(std::mt19937& random) {
  api::CheckpointTaskRequest request;
  set_ids(request, random);
  request.set_path(kHere + "b4");
  containerd::runc::v1::CheckpointOptions options;
  options.set_exit(random() % 2);
  if (random() % 2) options.set_work_path(kHere + "b4");
  request.mutable_options()->set_value(options.SerializeAsString());
  return request.SerializeAsString();
}

std::string resize_request(std::mt19937& random) {
  api::ResizePtyRequest request;
  set_ids(request, random);
  request.set_width(random() % 100);
  request.set_height(static_cast<std::uint32_t>(random()));
  return request.SerializeAsString();
}

std::string update_request(std::mt19937& random) {
  api::UpdateTaskRequest request;
  set_ids(request, random);
  request.mutable_resources()->set_value(random() % 2 ? "{}" : "[]");
  return request.SerializeAsString();
}

std::string plain_request(std::mt19937& random) {
  api::StateRequest request;  // all requests have their ids in the same fields
  set_ids(request, random);
  return request.SerializeAsString();
}

Call new_call(std::mt19937& random) {
  constexpr std::pair<std::string_view, std::string (*)(std::mt19937&)> kRequests[] = {
      {"Create", create_request}, {"Exec", exec_request},
      {"Kill", kill_request},     {"Checkpoint", checkpoint_request},
      {"Update", update_request}, {"ResizePty", resize_request}};
  // The first few are a whole life.
  Call call{static_cast<unsigned>(random() % (random() % 2 ? 6 : kMethodCount)), 0, {}};
  if (random() % 4 == 0) call.way = random() % kWays;
  for (const auto& [name, make] : kRequests)
    if (name == kMethods[call.method].name) call.payload = make(random);
  if (call.payload.empty()) call.payload = plain_request(random);
  return call;
}

void mutate(std::vector<Call>& calls, std::mt19937& random) {
  const std::size_t place = calls.empty() ? 0 : random() % calls.size();
  const auto at = calls.begin() + static_cast<std::ptrdiff_t>(place);
  switch (calls.empty() ? 0 : random() % 8) {
    case 0:
    case 1:
      calls.insert(random() % 2 ? calls.end() : at, new_call(random));
      break;
    case 2:
      calls.erase(at);
      break;
    case 3:
      calls.push_back(calls[place]);
      break;
    case 4:
      std::swap(calls[place], calls[random() % calls.size()]);
      break;
    case 5:
      calls[place].way = random() % kWays;
      break;
    default:
      calls[place].payload = mutate_message(calls[place].payload, random);
  }
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  set_up_ground();
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  std::mt19937 random(seed);
  std::string_view input = text_of(data, size);
  unsigned ground = take_byte(input);
  if (random() % 32 == 0) ground = random() % 4;
  std::vector<Call> calls = calls_in(input);
  mutate(calls, random);
  return give_back(written(ground, calls), data, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = text_of(data, size);
  const unsigned ground = take_byte(input);
  run(ground, calls_in(input));
  return 0;
}
