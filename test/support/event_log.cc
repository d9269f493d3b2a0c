// SPDX-License-Identifier: Apache-2.0
#include "support/event_log.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace thinshim::test {

std::string TaskEvent::field(const std::string& name) const {
  const std::string key = "\"" + name + "\":";
  size_t begin = json.find(key);
  if (begin == std::string::npos) return "";
  begin += key.size();
  if (json[begin] != '"') return json.substr(begin, json.find_first_of(",}", begin) - begin);
  return json.substr(begin + 1, json.find('"', begin + 1) - begin - 1);
}

EventLog::EventLog(const Ctr& ctr, std::string containerd_namespace)
    : process_(ctr.begin({"events"})), namespace_(std::move(containerd_namespace)) {
  // ctr does not report that it has subscribed, so create events until one arrives.
  const bool listening = eventually([&] {
    ctr({"namespaces", "label", namespace_, "listening=yes"});
    return process_.wait_for_output("/namespaces/", Duration(20));
  });
  if (!listening) throw std::runtime_error("ctr shows no events");
}

std::vector<TaskEvent> EventLog::events() const {
  std::vector<TaskEvent> found;
  std::istringstream lines(process_.output());
  for (std::string line; std::getline(lines, line);) {
    // 2026-01-31 23:59:59.123 +0000 UTC NAMESPACE /tasks/TOPIC {JSON}
    const std::string before_topic = " " + namespace_ + " /tasks/";
    const size_t topic = line.find(before_topic);
    const size_t json = line.find(" {", topic);
    if (topic == std::string::npos || json == std::string::npos) continue;
    const size_t begin = topic + before_topic.size();
    found.push_back({line.substr(begin, json - begin), line.substr(json + 1)});
  }
  return found;
}

std::vector<std::string> EventLog::history() const {
  std::vector<std::string> lines;
  for (const TaskEvent& event : events()) {
    std::string line = event.topic + " " + event.field("container_id");
    // An exit names its process in `id`: the container's for init. The exec events do it in
    // `exec_id`.
    const std::string process = event.topic == "exit" ? event.field("id") : event.field("exec_id");
    if (!process.empty() && process != event.field("container_id")) line += " " + process;
    lines.push_back(line);
  }
  return lines;
}

bool EventLog::wait_for(const std::string& topic, size_t count, Duration limit) {
  return eventually(
      [&] {
        process_.wait_for_output("\n\n", Duration(5));  // never comes: reads what is there
        const auto all = events();
        const auto has_topic = [&](const TaskEvent& event) { return event.topic == topic; };
        return static_cast<size_t>(std::count_if(all.begin(), all.end(), has_topic)) >= count;
      },
      limit);
}

}  // namespace thinshim::test
