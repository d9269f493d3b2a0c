// SPDX-License-Identifier: Apache-2.0
// The options that a client sends with `start` and Create, in an Any, completed from the
// configuration: what a request says beats the file, and the file beats the defaults. A field that
// holds protobuf's default ("", 0, false) says nothing; false and 0 written in TOML do.
//
// Two types arrive, bare (gogo's registry in containerd 1.6 knows no other form) or behind a host
// ("type.googleapis.com/..."):
//   containerd.runc.v1.Options  from ctr, docker, nerdctl; from CRI for io.containerd.runc.v2 only
//   runtimeoptions.v1.Options   from CRI for every other name, from ctr --runtime-config-path:
//                               config_path is a file as in shim/config.h, config_body (1.7 and
//                               later) the options table of containerd's configuration in TOML
//                               (shim/toml.h)
//
// The keys of that table are the fields of runc's options as Go spells them (BinaryName,
// SystemdCgroup), in any case, as containerd's TOML libraries take them (pelletier/go-toml 1.9 and
// 2). Unknown ones and wrong types are refused: somebody wrote them for this runtime.
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

// Whether `type_url` is one of the two types. A bootstrap request may carry other extensions, which
// are none of ours.
bool is_runtime_options(std::string_view type_url);

// The config_path of a request's options; empty where it has none, or its options are of another
// type, or malformed.
std::string config_path_of(const wire::Any& request);

// `base` is the configuration at config_path, where there is one, or else the shim's. An Any
// without type and value is no options at all. Throws Error invalid_argument where the type is
// another one (it is named) or the content malformed.
Settings resolve_options(const wire::Any& request, const Config& base);

// What a container is made with: the one place where the configuration becomes the service's.
TaskService::Options task_options(const Settings& settings);

// Sets what a TOML table says. Throws Error: "options:LINE: KEY: what is wrong".
void apply_toml_options(const std::string& text, RuncOptions& options);

}  // namespace thinshim
