// SPDX-License-Identifier: Apache-2.0
// The options of a request (shim/options.h), their file in the bundle (oci/bundle.h), and that of
// the exit (oci/exit_json.h). The first byte selects: 'J' options.json, 'E' exit.json, anything
// else an Any.
#include "shim/options.h"

#include "fuzz/fuzz.h"
#include "fuzz/wire_mutator.h"
#include "oci/exit_json.h"

namespace thinshim::fuzz {
namespace {

// Without unknown fields, which JSON does not have.
RuncOptions known_part_of(const RuncOptions& options) {
  RuncOptions known;
  known.set_no_pivot_root(options.no_pivot_root());
  known.set_no_new_keyring(options.no_new_keyring());
  known.set_shim_cgroup(options.shim_cgroup());
  known.set_io_uid(options.io_uid());
  known.set_io_gid(options.io_gid());
  known.set_binary_name(options.binary_name());
  known.set_root(options.root());
  known.set_criu_path(options.criu_path());
  known.set_systemd_cgroup(options.systemd_cgroup());
  known.set_criu_image_path(options.criu_image_path());
  known.set_criu_work_path(options.criu_work_path());
  known.set_task_api_address(options.task_api_address());
  known.set_task_api_version(options.task_api_version());
  return known;
}

void check_kept(const RuncOptions& options) {
  const std::string json = options_to_json(options);
  expect(json.find('\n') == std::string::npos && is_utf8(json),
         "options.json is one line of UTF-8");
  expect(options_from_json(json).SerializeAsString() == known_part_of(options).SerializeAsString(),
         "what is kept is read back the same");
}

void check_exit(std::string_view json) {
  constexpr time_t kLastYears = 253402300800;  // 10000-01-01, which Go cannot write either
  const auto exit = attempt_in_words([&] { return exit_from_json(json); });
  if (!exit || exit->at.tv_sec >= kLastYears) return;
  expect(exit->pid > 0 && exit->status >= 0, "an exit has a pid and a status");
  expect(exit->at.tv_nsec >= 0 && exit->at.tv_nsec < 1'000'000'000, "its time is one");
  const Exit again = exit_from_json(exit_to_json(*exit));
  expect(again.pid == exit->pid && again.status == exit->status &&
             again.at.tv_sec == exit->at.tv_sec && again.at.tv_nsec == exit->at.tv_nsec,
         "an exit is read back the same");
}

void check_request(std::string_view bytes) {
  wire::Any request;
  if (!request.ParseFromString(std::string(bytes))) return;
  config_path_of(request);
  const Config base;
  const auto settings = attempt_in_words([&] { return resolve_options(request, base); });
  if (!settings) return;
  const bool none = request.type_url().empty() && request.value().empty();
  expect(none || is_runtime_options(request.type_url()), "other types are refused");
  const RuncOptions& options = settings->options;
  const RuntimeConfig& runtime = settings->config.task.runtime;
  expect(!options.binary_name().empty() && options.root().starts_with('/'),
         "the defaults are there, and the root is absolute");
  expect(runtime.binary == options.binary_name() && runtime.root == options.root() &&
             runtime.systemd_cgroup == options.systemd_cgroup(),
         "options and configuration agree");
  for (const std::string* text :
       {&options.shim_cgroup(), &options.binary_name(), &options.root(), &options.criu_path(),
        &options.criu_image_path(), &options.criu_work_path()})
    expect(!has_nul(*text), "no option is cut short where it is used");
  check_kept(options);
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim;
using namespace thinshim::fuzz;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  std::mt19937 random(seed);
  const std::string_view input = text_of(data, size);
  const std::string kind(input.substr(0, 1));
  const std::string changed = kind == "J" || kind == "E" || kind.empty() || random() % 8 == 0
                                  ? mutate_bytes(input, random)
                                  : kind + mutate_message(input.substr(1), random);
  return give_back(changed, data, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = text_of(data, size);
  const std::string_view kind = take(input, 1);
  if (kind == "E") return check_exit(input), 0;
  if (kind != "J") return check_request(input), 0;
  const auto options = attempt([&] { return options_from_json(input); });
  // A string of JSON may be no UTF-8 (a lone surrogate), one of protobuf may not.
  if (options && is_utf8(options_to_json(*options))) check_kept(*options);
  return 0;
}
