// SPDX-License-Identifier: Apache-2.0
#include "orders/worker_pool.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>

#include "base/text.h"
#include "orders/fingerprint.h"
#include "orders/order_run.h"

namespace thinshim::orders {
namespace {

// The directory of one order, removed with its contents.
class OrderDirectory {
 public:
  explicit OrderDirectory(const std::string& directory) : path_(directory + "/order") {
    std::filesystem::remove_all(path_);  // of a worker that crashed
    std::filesystem::create_directories(path_);
  }
  ~OrderDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string cut_line(std::string& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string line = text.substr(0, end);
  text.erase(0, end + 1);
  return line;
}

// Lines: the order, whether it was possible, its fingerprint, the number of next steps, each of
// them, each finding.
std::string pack(const Result& result) {
  std::string text = to_words(result.order) + "\n" + (result.is_possible ? "yes" : "no") + "\n" +
                     std::to_string(result.fingerprint) + "\n" +
                     std::to_string(result.next.size()) + "\n";
  for (const Step& step : result.next) text += to_words(step) + "\n";
  for (const Finding& finding : result.findings)
    text += finding.rule + "\t" + finding.reason + "\t" + std::to_string(finding.ms) + "\t" +
            finding.what + "\n";
  return text;
}

Result unpack(std::string text) {
  Result result;
  result.order = parse_order(cut_line(text));
  result.is_possible = cut_line(text) == "yes";
  result.fingerprint = std::stoull(cut_line(text));
  for (int count = std::stoi(cut_line(text)); count > 0; --count)
    result.next.push_back(parse_step(cut_line(text)));
  while (!text.empty()) {
    const std::string line = cut_line(text);
    std::string_view rest = line;
    const std::string rule(cut(rest, '\t'));
    const std::string reason(cut(rest, '\t'));
    const auto ms = static_cast<std::int64_t>(parse_number(cut(rest, '\t')).value_or(0));
    result.findings.push_back({rule, reason, ms, std::string(rest)});
  }
  return result;
}

Result run_job(const std::string& job, const std::string& directory) {
  unsigned long long seed = 0;
  std::size_t length = 0;
  if (std::sscanf(job.c_str(), "random %llu %zu", &seed, &length) == 2)
    return run_random_order(seed, length, directory);
  return run_order(parse_order(job), directory);
}

constexpr std::size_t kLongest = 64 << 10;

[[noreturn]] void serve(int socket, const std::string& directory) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  prepare_process();
  std::string job(kLongest, '\0');
  for (;;) {
    const ssize_t size = ::recv(socket, job.data(), job.size(), 0);
    if (size <= 0) ::_exit(0);
    std::string answer = pack(run_job(job.substr(0, static_cast<std::size_t>(size)), directory));
    answer.resize(std::min(answer.size(), kLongest));
    if (::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) ::_exit(0);
  }
}

std::string how_it_ended(int status) {
  return WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status))
                             : "with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Result run_order(const Order& order, const std::string& directory, Trace* trace) {
  const OrderDirectory order_directory(directory);
  Result result{.order = order};
  OrderRun run(*order.setup, order_directory.path());
  try {
    for (const Step& step : order.steps) run.perform(step);
  } catch (const Error&) {
    result.is_possible = false;
  }
  result.next = run.enabled();
  result.fingerprint = fingerprint_of(run.trace());
  const Trace trace_of_run = run.finish();
  result.findings = broken_promises(trace_of_run);
  if (trace) *trace = trace_of_run;
  return result;
}

Result run_random_order(std::uint64_t seed, std::size_t length, const std::string& directory) {
  const OrderDirectory order_directory(directory);
  std::mt19937_64 random(seed);
  const auto pick = [&](std::size_t count) { return random() % count; };
  Result result{.order = {&setups()[pick(setups().size())], {}}};
  OrderRun run(*result.order.setup, order_directory.path());
  for (std::size_t i = 0; i < length; ++i) {
    const std::vector<Step> enabled = run.enabled();
    if (enabled.empty()) break;
    result.order.steps.push_back(enabled[pick(enabled.size())]);
    run.perform(result.order.steps.back());
  }
  result.findings = broken_promises(run.finish());
  return result;
}

WorkerPool::WorkerPool(std::size_t size, std::string directory)
    : directory_(std::move(directory)), workers_(size) {
  for (Worker& worker : workers_) start(worker);
}

WorkerPool::~WorkerPool() {
  for (Worker& worker : workers_) {
    worker.socket.reset();
    ::waitpid(worker.pid, nullptr, 0);
  }
}

void WorkerPool::start(Worker& worker) {
  int ends[2];
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  Fd ours(ends[0]), theirs(ends[1]);
  const std::string directory = directory_ + "/w" + std::to_string(&worker - workers_.data());
  worker.pid = check(::fork(), "fork");
  if (worker.pid == 0) {
    for (Worker& other : workers_) other.socket.reset();
    ours.reset();
    serve(theirs.get(), directory);
  }
  worker.socket = std::move(ours);
  worker.is_busy = false;
}

void WorkerPool::take_result(Worker& worker, const Take& take) {
  std::string answer(kLongest, '\0');
  const ssize_t size = ::recv(worker.socket.get(), answer.data(), answer.size(), 0);
  worker.is_busy = false;
  if (size > 0) return take(unpack(answer.substr(0, static_cast<std::size_t>(size))));
  int status = 0;
  ::waitpid(worker.pid, &status, 0);
  Result result;
  const bool is_random = worker.job.starts_with("random ");
  result.order = is_random ? Order{&setups()[0], {}} : parse_order(worker.job);
  result.findings.push_back(
      {"the shim does not crash or hang", how_it_ended(status), 0, "in " + worker.job});
  start(worker);
  take(std::move(result));
}

void WorkerPool::run_all(Next next, Take take) {
  bool more = true;
  for (;;) {
    std::vector<pollfd> polled;
    for (Worker& worker : workers_) {
      if (!worker.is_busy) {
        const std::optional<std::string> job = next();
        if (job) {
          worker.job = *job;
          worker.is_busy = ::send(worker.socket.get(), job->data(), job->size(), MSG_NOSIGNAL) > 0;
        }
      }
      polled.push_back({worker.is_busy ? worker.socket.get() : -1, POLLIN, 0});
    }
    more = std::ranges::any_of(workers_, &Worker::is_busy);
    if (!more) return;
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < workers_.size(); ++i)
      if (polled[i].revents != 0) take_result(workers_[i], take);
  }
}

Result WorkerPool::run(const Order& order) {
  std::optional<std::string> job = to_words(order);
  Result result;
  run_all([&] { return std::exchange(job, std::nullopt); },
          [&](Result found) { result = std::move(found); });
  return result;
}

}  // namespace thinshim::orders
