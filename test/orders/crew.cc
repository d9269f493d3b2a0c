// SPDX-License-Identifier: Apache-2.0
#include "orders/crew.h"

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
#include "orders/play.h"
#include "orders/situation.h"

namespace thinshim::orders {
namespace {

// A directory for one order.
class Ground {
 public:
  explicit Ground(const std::string& directory) : path_(directory + "/order") {
    std::filesystem::remove_all(path_);  // of one that did not come to its end
    std::filesystem::create_directories(path_);
  }
  ~Ground() {
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

// A line for the order, one for each step that may come next behind it, one for each finding.
std::string pack(const Result& result) {
  std::string text = to_words(result.order) + "\n" + (result.is_playable ? "yes" : "no") + "\n" +
                     std::to_string(result.situation) + "\n" + std::to_string(result.next.size()) +
                     "\n";
  for (const Step& step : result.next) text += to_words(step) + "\n";
  for (const Finding& finding : result.findings)
    text += finding.rule + "\t" + finding.reason + "\t" + std::to_string(finding.ms) + "\t" +
            finding.what + "\n";
  return text;
}

Result unpack(std::string text) {
  Result result;
  result.order = parse_order(cut_line(text));
  result.is_playable = cut_line(text) == "yes";
  result.situation = std::stoull(cut_line(text));
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

Result do_work(const std::string& work, const std::string& directory) {
  unsigned long long seed = 0;
  std::size_t length = 0;
  if (std::sscanf(work.c_str(), "walk %llu %zu", &seed, &length) == 2)
    return walk(seed, length, directory);
  return play(parse_order(work), directory);
}

constexpr std::size_t kLongest = 64 << 10;

[[noreturn]] void serve(int socket, const std::string& directory) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  prepare_to_play();
  std::string work(kLongest, '\0');
  for (;;) {
    const ssize_t size = ::recv(socket, work.data(), work.size(), 0);
    if (size <= 0) ::_exit(0);
    std::string answer = pack(do_work(work.substr(0, static_cast<std::size_t>(size)), directory));
    answer.resize(std::min(answer.size(), kLongest));
    if (::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) ::_exit(0);
  }
}

std::string how_it_ended(int status) {
  return WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status))
                             : "with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Result play(const Order& order, const std::string& directory, Trace* trace) {
  const Ground ground(directory);
  Result result{.order = order};
  Play playing(*order.scene, ground.path());
  try {
    for (const Step& step : order.steps) playing.perform(step);
  } catch (const Error&) {
    result.is_playable = false;
  }
  result.next = playing.enabled();
  result.situation = situation_of(playing.trace());
  const Trace played = playing.finish();
  result.findings = broken_promises(played);
  if (trace) *trace = played;
  return result;
}

Result walk(std::uint64_t seed, std::size_t length, const std::string& directory) {
  const Ground ground(directory);
  std::mt19937_64 random(seed);
  const auto some = [&](std::size_t count) { return random() % count; };
  Result result{.order = {&scenes()[some(scenes().size())], {}}};
  Play playing(*result.order.scene, ground.path());
  for (std::size_t i = 0; i < length; ++i) {
    const std::vector<Step> enabled = playing.enabled();
    if (enabled.empty()) break;
    result.order.steps.push_back(enabled[some(enabled.size())]);
    playing.perform(result.order.steps.back());
  }
  result.findings = broken_promises(playing.finish());
  return result;
}

Crew::Crew(std::size_t size, std::string directory)
    : directory_(std::move(directory)), workers_(size) {
  for (Worker& worker : workers_) start(worker);
}

Crew::~Crew() {
  for (Worker& worker : workers_) {
    worker.socket.reset();
    ::waitpid(worker.pid, nullptr, 0);
  }
}

void Crew::start(Worker& worker) {
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

void Crew::finish(Worker& worker, const Take& take) {
  std::string answer(kLongest, '\0');
  const ssize_t size = ::recv(worker.socket.get(), answer.data(), answer.size(), 0);
  worker.is_busy = false;
  if (size > 0) return take(unpack(answer.substr(0, static_cast<std::size_t>(size))));
  int status = 0;
  ::waitpid(worker.pid, &status, 0);
  Result result;
  const bool is_walk = worker.work.starts_with("walk ");
  result.order = is_walk ? Order{&scenes()[0], {}} : parse_order(worker.work);
  result.findings.push_back({"the service does not end by itself", how_it_ended(status), 0,
                             "while it did: " + worker.work});
  start(worker);
  take(std::move(result));
}

void Crew::work(Next next, Take take) {
  bool more = true;
  for (;;) {
    std::vector<pollfd> polled;
    for (Worker& worker : workers_) {
      if (!worker.is_busy) {
        const std::optional<std::string> work = next();
        if (work) {
          worker.work = *work;
          worker.is_busy =
              ::send(worker.socket.get(), work->data(), work->size(), MSG_NOSIGNAL) > 0;
        }
      }
      polled.push_back({worker.is_busy ? worker.socket.get() : -1, POLLIN, 0});
    }
    more = std::ranges::any_of(workers_, &Worker::is_busy);
    if (!more) return;
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < workers_.size(); ++i)
      if (polled[i].revents != 0) finish(workers_[i], take);
  }
}

Result Crew::run(const Order& order) {
  std::optional<std::string> work = to_words(order);
  Result result;
  this->work([&] { return std::exchange(work, std::nullopt); },
             [&](Result found) { result = std::move(found); });
  return result;
}

}  // namespace thinshim::orders
