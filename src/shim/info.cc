// SPDX-License-Identifier: Apache-2.0
#include "shim/info.h"

#include <fcntl.h>

#include "base/error.h"
#include "base/log.h"
#include "oci/json.h"
#include "process/run.h"
#include "runtime_info.pb.h"
#include "shim/config.h"
#include "shim/options.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// containerd's own timeout, at its start, is ten seconds.
constexpr Duration kFeaturesLimit = 5s;

Task<> set_after(Loop& loop, Duration time, Event& event) {
  co_await sleep(loop, time);
  event.set();
}

// The OCI Features object, in JSON.
std::string features_of(const std::string& binary) {
  Loop loop;
  Reaper reaper(loop);
  Fd null = open_file("/dev/null", O_RDWR);
  Command command;
  command.program = binary;
  command.arguments = {"features"};
  command.environment = inherited_environment({"NOTIFY_SOCKET"});
  command.fds = {null.get(), -1, null.get()};
  Event stop;
  TaskSet clock;
  clock.spawn(set_after(loop, kFeaturesLimit, stop), "time out features");
  const Output output = loop.run(run(reaper, std::move(command), &stop));
  if (output.exit.status != 0)
    throw Error::unknown(binary + " features: exit status " + std::to_string(output.exit.status));
  check_json_object(output.text, binary + " features");
  return output.text;
}

}  // namespace

std::string runtime_info(const Arguments& arguments, const std::string& input,
                         const std::string& version) {
  containerd::types::RuntimeInfo info;
  info.set_name("io.containerd.runc.v2");  // the runtime that it replaces
  info.mutable_version()->set_version(version);
  wire::Any request;
  if (!request.ParseFromString(input)) throw Error::invalid_argument("stdin: not runtime options");
  const Settings settings =
      resolve_options(request, load_config(config_path_of(request), arguments.config_file));
  if (!input.empty()) *info.mutable_options() = request;
  const std::string binary = settings.config.task.runtime.binary;
  try {
    std::string features = features_of(binary);
    info.mutable_features()->set_type_url(
        "types.containerd.io/opencontainers/runtime-spec/1/features/Features");
    info.mutable_features()->set_value(std::move(features));
  } catch (const Error& error) {
    if (error.errnum() != 0) throw;  // the runtime does not exist
    log::debug("failed to get the runtime's features", {{"error", error.what()}});
  }
  return info.SerializeAsString();
}

}  // namespace thinshim
