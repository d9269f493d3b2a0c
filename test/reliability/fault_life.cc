// SPDX-License-Identifier: Apache-2.0
#include "reliability/fault_life.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>

#include "bootstrap.pb.h"
#include "reliability/fault_calls.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

constexpr char kId[] = "c1";
constexpr const char* kPod[] = {"sandbox", "web", "job"};

// Neither a zombie, nor dead (X).
bool lives(pid_t pid) {
  const Process one = process(pid);
  return pid > 0 && one.parent >= 0 && one.state != 'Z' && one.state != 'X';
}

bool libuv_aborted(const Injection::Report& report, const std::optional<Fault>& fault) {
  return fault && report.crashed.ends_with(":ABRT") && libuv_aborts_of(fault->call, fault->nth);
}

}  // namespace

void FaultLifeTest::SetUp() {
  FastShimTest::SetUp();
  ContainerConfig config;
  config.args = {"sleep"};
  config.rootfs = bundle(kId) / "rootfs";
  make_bundle(kId, config);
  for (const char* name : {"in", "out"}) make_fifo(name);
  sanitized_ = read(binary_).find("AddressSanitizer") != std::string::npos;
}

// LeakSanitizer does not work in a process that is being traced.
SubprocessOptions FaultLifeTest::traced_surroundings(const std::string& id) const {
  SubprocessOptions options = surroundings(id);
  options.environment.push_back("ASAN_OPTIONS=detect_leaks=0");
  return options;
}

void FaultLifeTest::problem(const Life& life, const std::string& what) {
  problems_.push_back(life.title + ": " + what);
}

// As containerd creates it.
void FaultLifeTest::empty_bundle(const std::string& id) {
  for (const std::string& name : files_in_bundle(id))
    if (name != "config.json" && name != "rootfs" && name != "log")
      fs::remove_all(bundle(id) / name);
}

void FaultLifeTest::make_fresh_bundle() {
  empty_bundle(kId);
  fs::remove(directory_ / "c1.log");
}

std::set<std::string> FaultLifeTest::files_in_bundle(const std::string& id) const {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(bundle(id)))
    names.insert(entry.path().filename());
  return names;
}

api::CreateTaskRequest FaultLifeTest::life_request() const {
  api::CreateTaskRequest request = fast_request(kId, runtime_);
  request.set_stdout("file://" + (directory_ / "c1.log").string());
  containerd::types::Mount* mount = request.add_rootfs();
  mount->set_type("bind");
  mount->set_source(rootfs());
  mount->add_options("rbind");
  mount->add_options("ro");
  return request;
}

bool FaultLifeTest::becomes_true(TaskCalls& shim, const std::function<bool()>& condition,
                                 Duration limit) {
  const auto end = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() >= end) return false;
    shim.pass(1ms);
  }
  return true;
}

bool FaultLifeTest::ask_once(Life& life, const std::string& what, const Asking& asking) {
  if (life.died) return false;
  try {
    asking();
    return true;
  } catch (const Error& error) {
    life.errors.push_back(what + ": " + error.what());
    if (error.code() == Code::unavailable)  // the shim may be dying
      life.died = eventually([&] { return !lives(life.pid); }, Duration(200) * slowness());
    if (!life.died) expect_clear(life, what, error.what());
  }
  return false;
}

bool FaultLifeTest::ask(Life& life, const std::string& what, const Asking& asking) {
  if (ask_once(life, what, asking)) return true;
  if (life.died) return false;
  if (ask_once(life, what, asking)) return true;
  if (!life.died && !life.lasting) problem(life, "does not work again: " + life.errors.back());
  return false;
}

void FaultLifeTest::expect_clear(Life& life, const std::string& what, const std::string& text) {
  const std::string reason = life.fault ? errno_text(life.fault->errnum) : "";
  const bool closed = text == "ttrpc: closed" || text.rfind("connect to ", 0) == 0;
  bool is_clear = text.size() > reason.size() + 8 && text.find(' ') != std::string::npos;
  for (const char* how : {"fork:", "make pipe:", "memfd_create:", "duplicate fd:",
                          "open /dev/null:", "std::", "terminate"})
    is_clear = is_clear && text.rfind(how, 0) != 0;
  // The connection is lost if the kernel reports that its peer is gone; what does not fit into
  // memory is sent later.
  if (closed) is_clear = !life.fault || life.fault->errnum != ENOBUFS;
  if (text.find("timed out") != std::string::npos) is_clear = false;  // some process has died
  if (!is_clear) problem(life, what + " is refused with \"" + text + "\"");
}

FaultLifeTest::Life FaultLifeTest::new_life(const std::optional<Fault>& fault) const {
  Life life;
  life.fault = fault;
  life.title = fault ? fault->in_words() : "no fault";
  life.first_event = history().size();
  return life;
}

FaultLifeTest::Life FaultLifeTest::live(const std::optional<Fault>& fault) {
  Life life = new_life(fault);
  make_fresh_bundle();
  const Leftovers before(namespace_);
  const Injection injection(directory_ / "report", fault);
  const Outcome started =
      test::run(wrapper_ + injection.around(command(kId, {"start"})), traced_surroundings(kId));
  if (started.ok()) {
    const std::vector<Process> shims = shims_of_namespace(namespace_);
    life.pid = shims.empty() ? 0 : shims.front().pid;
    std::unique_ptr<TaskCalls> shim = connect(started.out);
    go_through(*shim, life);
    end_shim_of(*shim, life);
  } else {
    expect_clear_refusal(life, started);
  }
  if (life.died && lives(life.pid)) ::kill(life.pid, SIGKILL);
  clean_up(life, kId);
  life.report = injection.report();
  expect_nothing_left(life, before);
  return life;
}

void FaultLifeTest::expect_clear_refusal(Life& life, const Outcome& start) {
  life.errors.push_back("start: " + start.err);
  expect_clear(life, "start", start.err);
  if (start.exit_code != 1 || start.timed_out || !start.out.empty())
    problem(life, "start ends with exit code " + std::to_string(start.exit_code) + ", answer \"" +
                      start.out + "\", " + start.err);
}

FaultLifeTest::Life FaultLifeTest::join(const std::optional<Fault>& fault) {
  Life life = new_life(fault);
  for (const char* id : {"p1", "p2"}) {
    ContainerConfig config;
    config.args = {"sleep"};
    config.annotations = {{"io.kubernetes.cri.sandbox-id", "pod"}};
    make_bundle(id, config);
  }
  const Leftovers before(namespace_);
  std::unique_ptr<TaskCalls> first = connect(start("p1").out);
  first->end(first->create_begin(fast_request("p1", runtime_)));
  const Injection injection(directory_ / "report", fault);
  const Outcome started =
      test::run(wrapper_ + injection.around(command("p2", {"start"})), traced_surroundings("p2"));
  if (!started.ok()) expect_clear_refusal(life, started);
  std::unique_ptr<TaskCalls> second = connect(started.ok() ? started.out : start("p2").out);
  const bool created =
      ask(life, "Create", [&] { second->end(second->create_begin(fast_request("p2", runtime_))); });
  if (created) second->end_container("p2");
  first->end_container("p1");
  const std::size_t shims = shims_of_namespace(namespace_).size();
  end_shim(*first);
  if (shims > 1) end_shim(*second);
  if (shims > 1 && !(fault && fault->call == "connect" && fault->errnum == ECONNREFUSED))
    problem(life, "a second shim serves the pod");
  life.report = injection.report();
  expect_nothing_left(life, before);
  return life;
}

void FaultLifeTest::go_through(TaskCalls& shim, Life& life) {
  wanted_events_.clear();
  if (run_container(shim, life)) {
    before_execs_();
    run_exec(shim, life, "e1", false);
    run_exec(shim, life, "e2", true);
  }
  end_container(shim, life);
  if (life.died || life.lasting) return;
  expect_events(shim, life);
  expect_files_as_before(shim, life);
}

void FaultLifeTest::end_shim_of(TaskCalls& shim, Life& life) {
  if (life.died) return;
  // The answer may be lost by the fault.
  ask(life, "Shutdown", [&] { shim.shutdown(); });
  if (!becomes_true(shim, [&] { return !lives(life.pid); })) {
    problem(life, "the shim does not end");
    ::kill(life.pid, SIGKILL);
  }
}

bool FaultLifeTest::run_container(TaskCalls& shim, Life& life) {
  const bool created = ask(life, "Create", [&] {
    try {
      shim.end(shim.create_begin(life_request()));
    } catch (const Error& error) {
      if (error.code() != Code::already_exists) throw;  // only the answer was lost
    }
  });
  if (!created) return false;
  wanted_events_ = {"create c1", "exit c1 137", "delete c1 137"};
  if (ask_once(life, "Start", [&] { shim.start(kId); })) {
    wanted_events_.push_back("start c1");
    return true;
  }
  bool runs = false;
  ask(life, "State", [&] { runs = shim.state(kId).status() == types::RUNNING; });
  return runs;
}

// After a failed Start a second one may be impossible: then the client creates a new exec.
bool FaultLifeTest::start_exec(TaskCalls& shim, Life& life, const std::string& exec_id,
                               const api::ExecProcessRequest& request) {
  const Asking add = [&] {
    try {
      exec(shim, kId, exec_id, {"write", "20"}, request);
    } catch (const Error& error) {
      if (error.code() != Code::already_exists) throw;
    }
  };
  if (!ask(life, "Exec", add)) return false;
  if (ask_once(life, "Start " + exec_id, [&] { shim.start(kId, exec_id); })) return true;
  auto status = types::UNKNOWN;
  if (!ask(life, "State", [&] { status = shim.state(kId, exec_id).status(); })) return false;
  if (status != types::CREATED) return true;
  return ask(life, "Delete", [&] { shim.remove(kId, exec_id); }) && ask(life, "Exec", add) &&
         ask(life, "Start " + exec_id, [&] { shim.start(kId, exec_id); });
}

void FaultLifeTest::run_exec(TaskCalls& shim, Life& life, const std::string& exec_id,
                             bool terminal) {
  const Fd reader = open_file(directory_ / "out", O_RDONLY | O_NONBLOCK);
  api::ExecProcessRequest request;
  request.set_terminal(terminal);
  request.set_stdin(directory_ / "in");
  request.set_stdout(directory_ / "out");
  if (!start_exec(shim, life, exec_id, request)) return;
  wanted_events_.push_back("exit c1 " + exec_id + " 0");

  std::size_t bytes = 0;
  bool ended = false;
  const auto take_output = [&] {
    char chunk[65536];
    ssize_t n;
    while ((n = ::read(reader.get(), chunk, sizeof chunk)) > 0)
      bytes += static_cast<std::size_t>(n);
    ended = n == 0;
  };
  ask(life, "Wait " + exec_id, [&] {
    auto waiting = shim.wait_begin(kId, exec_id);
    shim.until([&] {
      take_output();
      return waiting->done.is_set();
    });
    const std::uint32_t status = shim.end(waiting).exit_status();
    if (status != 0) problem(life, exec_id + " ended with status " + std::to_string(status));
  });
  ask(life, "Delete " + exec_id, [&] {
    try {
      shim.remove(kId, exec_id);
    } catch (const Error& error) {
      if (error.code() != Code::not_found) throw;
    }
  });
  if (life.died) return;
  if (!becomes_true(shim, [&] { return take_output(), ended; }))
    problem(life, "the output of " + exec_id + " does not end");
  const std::size_t wanted = terminal ? 20'200 : 20'000;  // a carriage return for each line
  if (bytes != wanted)
    problem(life, exec_id + " wrote " + std::to_string(wanted) + " bytes, " +
                      std::to_string(bytes) + " came");
}

// Whatever its state.
void FaultLifeTest::end_container(TaskCalls& shim, Life& life) {
  const auto unless_gone = [](const Asking& asking) {
    return [asking] {
      try {
        asking();
      } catch (const Error& error) {
        if (error.code() != Code::not_found) throw;
      }
    };
  };
  ask(life, "Kill", unless_gone([&] { shim.kill(kId, SIGKILL); }));
  ask(life, "Wait", unless_gone([&] { shim.wait(kId); }));
  ask(life, "Delete", unless_gone([&] { shim.remove(kId); }));
  ask(life, "State", [&] {
    const Error refused = shim.refusal_of(shim.state_begin(kId));
    if (refused.code() != Code::not_found) throw refused;
  });
}

void FaultLifeTest::expect_events(TaskCalls& shim, Life& life) {
  Lines missing;
  const bool all = becomes_true(shim, [&] {
    const Lines events = history();
    missing.clear();
    for (const std::string& event : wanted_events_)
      if (std::find(events.begin() + static_cast<std::ptrdiff_t>(life.first_event), events.end(),
                    event) == events.end())
        missing.push_back(event);
    return missing.empty();
  });
  if (all) return;
  for (const std::string& event : missing) problem(life, "no event \"" + event + "\"");
}

// Without the numbers. A descriptor that could not be opened is /dev/null.
Lines FaultLifeTest::files_of(pid_t pid) const {
  Lines files = open_files(pid);
  for (std::string& file : files) {
    file = file.substr(file.find("-> ") + 3);
    if (const std::size_t number = file.find(":["); number != std::string::npos)
      file = file.substr(0, file.find_first_of("0123456789", number));
  }
  std::erase(files, "/dev/null");
  std::sort(files.begin(), files.end());
  return files;
}

void FaultLifeTest::expect_files_as_before(TaskCalls& shim, Life& life) {
  if (!files_after_a_life_) {
    shim.pass(100ms);
    files_after_a_life_ = files_of(life.pid);
  }
  Lines files;
  const bool closed = becomes_true(shim, [&] {
    files = files_of(life.pid);
    return std::includes(files_after_a_life_->begin(), files_after_a_life_->end(), files.begin(),
                         files.end());
  });
  if (closed) return;
  std::string text;
  for (const std::string& file : files) text += " " + file;
  text += "; otherwise";
  for (const std::string& file : *files_after_a_life_) text += " " + file;
  problem(life, "the shim has open" + text);
}

Outcome FaultLifeTest::traced_delete(Life& life, const std::string& id) {
  const Injection injection(directory_ / "report", life.fault);
  SubprocessOptions options = traced_surroundings(id);
  options.directory = "/";
  const Outcome outcome =
      test::run(wrapper_ + injection.around(command(id, {"-bundle", bundle(id), "delete"})),
                std::move(options));
  life.report = injection.report();
  const bool aborted = libuv_aborted(life.report, life.fault);
  if ((outcome.exit_code > 1 && !aborted) || outcome.timed_out)
    problem(life, "delete ends with exit code " + std::to_string(outcome.exit_code));
  api::DeleteResponse response;
  if (outcome.ok() && (outcome.out.empty() || !response.ParseFromString(outcome.out)))
    problem(life, "delete has no answer");
  if (!outcome.err.empty()) {
    life.errors.push_back("delete: " + outcome.err);
    expect_clear(life, "delete", outcome.err);
  }
  if (!outcome.ok() && outcome.err.empty() && !aborted)
    problem(life, "delete fails and says nothing");
  return outcome;
}

FaultLifeTest::Life FaultLifeTest::die(const std::optional<Fault>& fault) {
  Life life = new_life(fault);
  make_fresh_bundle();
  const Leftovers before(namespace_);
  const Outcome started = start(kId);
  if (!started.ok()) throw std::runtime_error("start failed: " + started.err);
  std::unique_ptr<TaskCalls> shim = connect(started.out);
  life.pid = static_cast<pid_t>(shim->end(shim->connect_begin("")).shim_pid());
  shim->end(shim->create_begin(life_request()));
  const pid_t init = shim->start(kId);
  ::kill(life.pid, SIGKILL);
  shim->until([&] { return process(life.pid).parent < 0; });

  const Outcome outcome = traced_delete(life, kId);
  if (outcome.ok() && !eventually([&] { return !lives(init); }))
    problem(life, "delete says success, and the container runs");
  clean_up(life, kId);
  expect_nothing_left(life, before);
  return life;
}

// By the protocol of containerd 2.3 and later: the other containers come to the sandbox's shim.
std::unique_ptr<TaskCalls> FaultLifeTest::run_pod(Life& life, std::map<std::string, pid_t>& inits) {
  ContainerConfig config;
  config.args = {"sleep"};
  config.annotations = {{"io.kubernetes.cri.sandbox-id", "sandbox"}};
  for (const char* id : kPod) {
    make_bundle(id, config);
    empty_bundle(id);
  }
  containerd::runtime::bootstrap::v1::BootstrapResult started;
  started.ParseFromString(start("sandbox", bootstrap_params("sandbox")).out);
  std::unique_ptr<TaskCalls> shim = connect(started.address());
  life.pid = static_cast<pid_t>(shim->end(shim->connect_begin("")).shim_pid());
  for (const char* id : kPod) {
    std::ofstream(bundle(id) / "bootstrap.json")
        << R"({"version":3,"address":")" << started.address() << R"(","protocol":"ttrpc"})";
    shim->end(shim->create_begin(fast_request(id, runtime_)));
    inits[id] = shim->start(id);
  }
  return shim;
}

FaultLifeTest::Life FaultLifeTest::delete_beside(const std::string& deleted,
                                                 const std::optional<Fault>& fault) {
  Life life = new_life(fault);
  life.title += ", delete of " + deleted;
  const Leftovers before(namespace_);
  std::map<std::string, pid_t> inits;
  std::unique_ptr<TaskCalls> shim = run_pod(life, inits);
  shim->end_container(deleted);

  const std::string socket =
      read(bundle("sandbox") / "address").substr(std::string("unix://").size());
  traced_delete(life, deleted);
  if (!lives(life.pid)) problem(life, "the shim is dead");
  const bool was_lied_to = fault && fault->call == "connect" && fault->errnum == ECONNREFUSED;
  if (!was_lied_to && !fs::exists(socket)) problem(life, "the living shim's socket is gone");
  for (const std::string id : kPod) {
    if (id == deleted) continue;
    if (lives(inits[id]) && shim->state(id).status() == types::RUNNING) {
      shim->end_container(id);
      continue;
    }
    problem(life, "the neighbour " + id + " is dead");
    shim->wait(id);
    shim->remove(id);
  }
  end_shim(*shim);
  expect_nothing_left(life, before);
  return life;
}

FaultLifeTest::Life FaultLifeTest::die_as_pod(const std::optional<Fault>& fault) {
  Life life = new_life(fault);
  const Leftovers before(namespace_);
  std::map<std::string, pid_t> inits;
  std::unique_ptr<TaskCalls> shim = run_pod(life, inits);
  ::kill(life.pid, SIGKILL);
  shim->until([&] { return process(life.pid).parent < 0; });
  for (const char* id : kPod)
    if (std::string(id) != "sandbox") fs::remove_all(bundle(id));

  const Outcome outcome = traced_delete(life, "sandbox");
  for (const auto& [id, init] : inits)
    if (outcome.ok() && !eventually([&] { return !lives(init); }))
      problem(life, "delete says success, and " + id + " runs");
  clean_up(life, "sandbox");
  expect_nothing_left(life, before);
  return life;
}

// `delete` finds what cannot be seen from outside.
void FaultLifeTest::clean_up(Life& life, const std::string& id) {
  const Outcome cleaned = cleanup(id);
  if (!cleaned.ok()) problem(life, "delete: " + cleaned.err);
  if (!cleaned.err.empty()) problem(life, "delete complains: " + cleaned.err);
}

void FaultLifeTest::expect_nothing_left(Life& life, const Leftovers& before) {
  if (!life.report.crashed.empty() && !libuv_aborted(life.report, life.fault))
    problem(life, "a crash of " + life.report.crashed);
  for (const std::string& trace : before.after()) problem(life, "left over: " + trace);
  // Files of containerd, of the way to the shim, or for the next `delete`.
  const std::set<std::string> expected = {"config.json", "rootfs",   "log",
                                          "address",     "init.pid", "options.json",
                                          "runtime",     "log.json", "exit.json"};
  for (const std::string& name : files_in_bundle(kId))
    if (expected.count(name) == 0) problem(life, "left over in the bundle: " + name);
  const std::string log = log_of(kId);
  for (const char* complaint : {"Sanitizer", "runtime error: "})
    if (log.find(complaint, log_read_) != std::string::npos) problem(life, "a sanitizer complains");
  log_read_ = log.size();
}

}  // namespace thinshim::test
