// SPDX-License-Identifier: Apache-2.0
// The runtime options that a client sends with `start` and Create, in an Any, completed from the
// configuration: the request overrides the file, and the file overrides the defaults. A field with
// protobuf's default value ("", 0, false) counts as not set; false and 0 written in TOML are set.
//
// Two types arrive, bare (containerd 1.6, gogo's registry) or behind a host
// ("type.googleapis.com/..."):
//   containerd.runc.v1.Options  from ctr, docker, nerdctl; from CRI for io.containerd.runc.v2 only
//   runtimeoptions.v1.Options   from CRI for every other name, from ctr --runtime-config-path:
//                               config_path is a file as in shim/config.h, config_body (1.7 and
//                               later) the options table of containerd's configuration in TOML
//                               (shim/toml.h)
//
// The keys of that table are the fields of runc's options as Go spells them (BinaryName,
// SystemdCgroup), in upper or lower case, as in containerd's TOML libraries (pelletier/go-toml 1.9
// and 2). Unknown keys and wrong types are errors.
#pragma once

#include <string>
#include <string_view>

#include "oci/bundle.h"
#include "runc_options.pb.h"
#include "shim/config.h"
#include "task/service.h"
#include "wire.pb.h"

namespace thinshim {

struct Settings {
  Config config;        // `base`
  RuncOptions options;  // binary_name, root and systemd_cgroup agree with config.task.runtime
};

// Whether `type_url` is one of the two types.
bool is_runtime_options(std::string_view type_url);

// The config_path of a request's options; empty if there is none, or the options are malformed or
// of another type.
std::string config_path_of(const wire::Any& request);

// `base` is the configuration at config_path if there is one, else the shim's. An Any without type
// and value means no options. Throws Error invalid_argument if the type is another one (the text
// names it) or the content is malformed.
Settings resolve_options(const wire::Any& request, const Config& base);

// Converts the configuration to the options of the task service.
TaskService::Options task_options(const Settings& settings);

// Sets the fields that a TOML table names. Throws Error: "options:LINE: KEY: what is wrong".
void apply_toml_options(const std::string& text, RuncOptions& options);

}  // namespace thinshim
