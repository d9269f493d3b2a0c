// SPDX-License-Identifier: Apache-2.0
// What containerd writes to the action `start`: shim/start.h distinguishes the old protocol and the
// new.
#include "shim/start.h"

#include "base/identifier.h"
#include "bootstrap.pb.h"
#include "fuzz/fuzz.h"
#include "fuzz/wire_mutator.h"
#include "shim/address.h"
#include "shim/options.h"

namespace thinshim::fuzz {
namespace {

Arguments called_with() {
  Arguments arguments;
  arguments.action = Action::start;
  arguments.id = "c1";
  arguments.containerd_namespace = "default";
  arguments.address = "/run/grpc.sock";
  arguments.ttrpc_address = "/run/ttrpc.sock";
  return arguments;
}

void check_request(const StartRequest& request, const std::string& input) {
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  const bool new_protocol = params.ParseFromString(input) && params.instance_id() == "c1" &&
                            params.namespace_() == "default";
  expect(request.bootstrap == new_protocol, "the protocol is told by id and namespace");
  const std::string& type = request.options.type_url();
  expect(type.empty() || is_runtime_options(type), "options are of a known type");
  expect(new_protocol || input.empty() || !type.empty(), "what is neither protocol is refused");
  expect(!request.grpc_address.empty() && !request.ttrpc_address.empty(), "flags fill the gaps");
  for (const std::string* text :
       {&request.grpc_address, &request.ttrpc_address, &request.socket_directory})
    expect(!has_nul(*text), "no path is cut short where it is used");
}

// A caller whose flags have neither.
void check_names_of_stdin(const std::string& input) {
  const auto request = attempt_in_words([&] { return parse_start_request(input, Arguments()); });
  if (!request) return;
  expect(request->bootstrap, "without flags there is one protocol");
  expect(is_identifier(request->id) && is_identifier(request->containerd_namespace),
         "no name leaves its directory");
}

void check_address(const StartRequest& request) {
  const std::string path =
      socket_path(request.socket_directory, request.grpc_address, "default", "c1");
  const std::string directory =
      request.socket_directory.empty() ? kSocketDirectory : request.socket_directory;
  expect(path.starts_with(directory), "a socket is in its directory");
  expect(base_name(path).size() == 64 &&
             base_name(path).find_first_not_of("0123456789abcdef") == std::string_view::npos,
         "a socket's name is a hash");
  expect(path_of_address(address_of_path(path)) == path, "an address is read back the same");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim;
using namespace thinshim::fuzz;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  std::mt19937 random(seed);
  return give_back(mutate_message(text_of(data, size), random), data, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(text_of(data, size));
  check_names_of_stdin(input);
  const auto request = attempt_in_words([&] { return parse_start_request(input, called_with()); });
  if (!request) return 0;
  check_request(*request, input);
  check_address(*request);
  return 0;
}
