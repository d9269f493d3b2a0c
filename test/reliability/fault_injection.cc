// SPDX-License-Identifier: Apache-2.0
#include "reliability/fault_injection.h"

#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "support/eventually.h"
#include "support/subprocess.h"

namespace thinshim::test {

namespace fs = std::filesystem;

std::string Fault::in_words() const {
  return role + " " + call + " " + std::to_string(nth) + " " + ::strerrorname_np(errnum);
}

Injection::Injection(fs::path report, std::optional<Fault> fault)
    : report_(std::move(report)), fault_(std::move(fault)) {
  fs::remove(report_);
}

Words Injection::around(const Words& command) const {
  Words words = {built_program("reliability/fault_tracer"), report_};
  if (fault_)
    words = words + Words{fault_->role, fault_->call, std::to_string(fault_->nth),
                          std::to_string(fault_->errnum)};
  return words + command;
}

Injection::Report Injection::report() const {
  if (!eventually([&] { return fs::exists(report_); }))
    throw std::runtime_error("traced processes do not end");
  Report report;
  std::ifstream file(report_);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string role, call;
    long count = 0;
    words >> role >> call;
    if (role == "injected")
      report.injected = line.substr(role.size() + 1);
    else if (role == "crashed")
      report.crashed = call;
    else if (words >> count)
      report.counts[{role, call}] = count;
  }
  return report;
}

}  // namespace thinshim::test
