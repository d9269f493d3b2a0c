// SPDX-License-Identifier: Apache-2.0
#include "reliability/fast_shim.h"

#include <cstdlib>

#include "base/file.h"
#include "runc_options.pb.h"

namespace thinshim::test {

api::CreateTaskRequest FastShimTest::fast_request(const std::string& id,
                                                  const std::string& runtime) const {
  api::CreateTaskRequest request;
  request.set_id(id);
  request.set_bundle(bundle(id));
  containerd::runc::v1::Options options;
  options.set_binary_name(runtime);
  request.mutable_options()->set_type_url(options.GetTypeName());
  request.mutable_options()->set_value(options.SerializeAsString());
  return request;
}

std::unique_ptr<TaskCalls> FastShimTest::run_fast(const std::string& id, const Words& args) {
  ContainerConfig config;
  config.args = args;
  std::unique_ptr<TaskCalls> shim = start_shim(id, config);
  shim->end(shim->create_begin(fast_request(id)));
  shim->start(id);
  return shim;
}

// AddressSanitizer reserves terabytes.
bool FastShimTest::tells_memory(pid_t pid) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status").value_or("");
  const std::size_t size = status.find("VmSize:");
  return size != std::string::npos && std::atol(status.c_str() + size + 7) < 1 << 30;  // kB
}

}  // namespace thinshim::test
