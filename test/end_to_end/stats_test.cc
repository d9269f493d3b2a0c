// SPDX-License-Identifier: Apache-2.0
// The answer of Stats, field by field, compared with that of the stock shim (the one on PATH) for
// the same container.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "runc_options.pb.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

// Reads numbers of the wire format from the bytes of a message (https://protobuf.dev/programming-
// guides/encoding).
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}
  bool at_end() const { return rest_.empty(); }
  bool failed() const { return failed_; }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }
  std::string_view bytes(std::uint64_t count) {
    failed_ |= count > rest_.size();
    std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

// The fields that are set, a line each: "3.1.4[0] = 17" is the first value of field 4 in field 1 in
// field 3. Bytes that can be parsed as a message are. Returns nothing if the bytes are no message.
std::optional<Lines> fields_of(std::string_view message, const std::string& place) {
  Lines lines;
  std::map<std::uint64_t, int> seen;
  WireReader reader(message);
  while (!reader.at_end()) {
    const std::uint64_t tag = reader.varint();
    const std::string name =
        place + std::to_string(tag >> 3) + "[" + std::to_string(seen[tag >> 3]++) + "]";
    if ((tag & 7) == 0) {
      const std::uint64_t value = reader.varint();
      if (value != 0) lines.push_back(name + " = " + std::to_string(value));
    } else if ((tag & 7) == 1) {
      lines.push_back(name + " = " + std::string(reader.bytes(8)));
    } else if ((tag & 7) == 2) {
      const std::string_view bytes = reader.bytes(reader.varint());
      const std::optional<Lines> inner = fields_of(bytes, name + ".");
      if (inner) {
        lines.insert(lines.end(), inner->begin(), inner->end());
      } else {
        lines.push_back(name + " = " + std::string(bytes));
      }
    } else {
      return std::nullopt;
    }
    if (reader.failed() || (tag >> 3) == 0) return std::nullopt;
  }
  return lines;
}

class Stats : public ShimTest {
 protected:
  // A stock shim whose container "stock" is the given process: its runtime only reports that pid.
  std::unique_ptr<TaskCalls> start_stock(pid_t container) {
    make_bundle("stock");
    Words command_line = command("stock", {"start"});
    command_line[0] = "containerd-shim-runc-v2";
    const Outcome started = test::run(command_line, surroundings("stock"));
    EXPECT_TRUE(started.ok()) << started;
    auto stock = connect(started.out);
    stock->service = "containerd.task.v2.Task";
    const fs::path runtime = directory_ / "runtime";
    std::ofstream(runtime) << "#!/bin/sh\nwhile [ $# -gt 0 ]; do\n"
                           << "  [ \"$1\" != --pid-file ] || printf " << container << " > \"$2\"\n"
                           << "  shift\ndone\n";
    fs::permissions(runtime, fs::perms::owner_all);
    containerd::runc::v1::Options options;
    options.set_binary_name(runtime);
    api::CreateTaskRequest request = create_request("stock");
    request.mutable_options()->set_type_url("containerd.runc.v1.Options");
    request.mutable_options()->set_value(options.SerializeAsString());
    EXPECT_EQ(stock->end(stock->create_begin(request)).pid(), static_cast<unsigned>(container));
    return stock;
  }
  static wire::Any stats_of(TaskCalls& shim, const std::string& id) {
    return shim.end(shim.stats_begin(id)).stats();
  }
};

TEST_F(Stats, AreThoseOfTheStockShim) {
  ContainerConfig config;
  config.args = {"/bin/sh", "-c",
                 "dd if=/dev/zero of=/tmp/file bs=64k count=64 conv=fsync 2>/dev/null; echo 3;"
                 "exec sleep 1000"};
  auto shim = start_shim("c1", config);
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdout("file://" + (bundle("c1") / "said").string());
  const auto pid = static_cast<pid_t>(shim->end(shim->create_begin(request)).pid());
  shim->end(shim->update_begin(
      "c1",
      R"({"memory":{"limit":67108864},"pids":{"limit":77},"cpu":{"quota":50000,"period":100000}})"));
  shim->start("c1");
  shim->until([&] { return read(bundle("c1") / "said") == "3\n"; });
  auto stock = start_stock(pid);

  // Both read while nothing changed.
  wire::Any own, others;
  shim->until([&] {
    own = stats_of(*shim, "c1");
    others = stats_of(*stock, "stock");
    return stats_of(*shim, "c1").value() == own.value();
  });
  EXPECT_EQ(own.type_url(), others.type_url());
  const Lines own_fields = fields_of(own.value(), "").value();
  const Lines others_fields = fields_of(others.value(), "").value();
  EXPECT_GE(others_fields.size(), 15u);  // those that are not 0
  for (const std::string& field : others_fields)
    EXPECT_TRUE(std::find(own_fields.begin(), own_fields.end(), field) != own_fields.end())
        << "the stock shim has " << field;

  const auto stock_pid = static_cast<pid_t>(stock->end(stock->connect_begin("stock")).shim_pid());
  ::kill(stock_pid, SIGKILL);
  EXPECT_TRUE(eventually([&] { return process(stock_pid).parent < 0; }));
  cleanup("stock");
  shim->end_container("c1");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
