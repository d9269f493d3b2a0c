// SPDX-License-Identifier: Apache-2.0
#include "support/processes.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "support/eventually.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::string proc_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace

std::string Process::command() const {
  if (arguments.empty()) return "[" + name + "]";
  std::string line;
  for (const std::string& argument : arguments) line += (line.empty() ? "" : " ") + argument;
  return line;
}

Process process(pid_t pid) {
  Process process;
  process.pid = pid;
  const fs::path directory = fs::path("/proc") / std::to_string(pid);
  // pid (name) state parent ...; the name may hold blanks and parentheses.
  const std::string stat = proc_text(directory / "stat");
  const size_t open = stat.find('(');
  const size_t close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return process;
  process.name = stat.substr(open + 1, close - open - 1);
  std::istringstream rest(stat.substr(close + 1));
  rest >> process.state >> process.parent;
  std::istringstream arguments(proc_text(directory / "cmdline"));
  for (std::string word; std::getline(arguments, word, '\0');) process.arguments.push_back(word);
  // The rest of an argv that a process has shortened.
  while (!process.arguments.empty() && process.arguments.back().empty())
    process.arguments.pop_back();
  return process;
}

std::vector<Process> processes() {
  std::vector<Process> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (!is_number(name)) continue;
    Process one = process(std::stoi(name));
    if (one.parent >= 0) found.push_back(std::move(one));
  }
  return found;
}

std::vector<Process> children_of(pid_t pid) {
  std::vector<Process> found = processes();
  found.erase(std::remove_if(found.begin(), found.end(),
                             [&](const Process& one) { return one.parent != pid; }),
              found.end());
  return found;
}

std::vector<std::string> open_files(pid_t pid) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
    const fs::path target = fs::read_symlink(entry.path(), error);
    if (!error) found.push_back(entry.path().filename().string() + " -> " + target.string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> open_files_at_rest(pid_t pid) {
  std::vector<std::string> files = open_files(pid);
  eventually([&] {
    std::this_thread::sleep_for(Duration(100));
    const std::vector<std::string> before = std::exchange(files, open_files(pid));
    return files == before;
  });
  return files;
}

std::vector<Process> shims_of_namespace(const std::string& containerd_namespace) {
  std::vector<Process> found;
  for (Process& one : processes()) {
    const auto& words = one.arguments;
    const auto flag = std::find(words.begin(), words.end(), "-namespace");
    if (flag == words.end() || flag + 1 == words.end() || *(flag + 1) != containerd_namespace)
      continue;
    if (words.back() == "start" || words.back() == "delete") continue;
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace thinshim::test
