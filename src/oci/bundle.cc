// SPDX-License-Identifier: Apache-2.0
#include "oci/bundle.h"

#include <runc_options.pb.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "oci/call_file.h"
#include "oci/exit_json.h"
#include "oci/json.h"

namespace thinshim {
namespace {

// A field of Options. Of flag, number and text, the pair of the field's type is set.
struct Field {
  const char* name;
  bool (RuncOptions::*flag)() const = nullptr;
  void (RuncOptions::*set_flag)(bool) = nullptr;
  std::uint32_t (RuncOptions::*number)() const = nullptr;
  void (RuncOptions::*set_number)(std::uint32_t) = nullptr;
  const std::string& (RuncOptions::*text)() const = nullptr;
  std::string* (RuncOptions::*mutable_text)() = nullptr;
};

constexpr Field flag(const char* name, bool (RuncOptions::*get)() const,
                     void (RuncOptions::*set)(bool)) {
  Field field{name};
  field.flag = get;
  field.set_flag = set;
  return field;
}
constexpr Field number(const char* name, std::uint32_t (RuncOptions::*get)() const,
                       void (RuncOptions::*set)(std::uint32_t)) {
  Field field{name};
  field.number = get;
  field.set_number = set;
  return field;
}
constexpr Field text(const char* name, const std::string& (RuncOptions::*get)() const,
                     std::string* (RuncOptions::*change)()) {
  Field field{name};
  field.text = get;
  field.mutable_text = change;
  return field;
}

using O = RuncOptions;
constexpr Field kFields[] = {
    flag("no_pivot_root", &O::no_pivot_root, &O::set_no_pivot_root),
    flag("no_new_keyring", &O::no_new_keyring, &O::set_no_new_keyring),
    text("shim_cgroup", &O::shim_cgroup, &O::mutable_shim_cgroup),
    number("io_uid", &O::io_uid, &O::set_io_uid),
    number("io_gid", &O::io_gid, &O::set_io_gid),
    text("binary_name", &O::binary_name, &O::mutable_binary_name),
    text("root", &O::root, &O::mutable_root),
    text("criu_path", &O::criu_path, &O::mutable_criu_path),
    flag("systemd_cgroup", &O::systemd_cgroup, &O::set_systemd_cgroup),
    text("criu_image_path", &O::criu_image_path, &O::mutable_criu_image_path),
    text("criu_work_path", &O::criu_work_path, &O::mutable_criu_work_path),
    text("task_api_address", &O::task_api_address, &O::mutable_task_api_address),
    number("task_api_version", &O::task_api_version, &O::set_task_api_version),
};

// A string as Go's encoding/json writes it. Protobuf strings are UTF-8 already.
void append_quoted(std::string& json, std::string_view text) {
  json += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = static_cast<unsigned char>(text[i]);
    // U+2028 and U+2029, line ends in JavaScript
    bool line_end = text.substr(i, 2) == "\xe2\x80" && i + 2 < text.size() &&
                    (text[i + 2] == '\xa8' || text[i + 2] == '\xa9');
    if (line_end) {
      json += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (byte == '"' || byte == '\\') {
      json += {'\\', text[i]};
    } else if (byte == '\n') {
      json += "\\n";
    } else if (byte == '\r') {
      json += "\\r";
    } else if (byte == '\t') {
      json += "\\t";
    } else if (byte < 0x20 || byte == '<' || byte == '>' || byte == '&') {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", byte);
      json += code;
    } else {
      json += text[i];
    }
  }
  json += '"';
}

class OptionsVisitor final : public JsonVisitor {
 public:
  explicit OptionsVisitor(RuncOptions& options) : options_(options) {}

  Step value(const JsonPath& path, const JsonValue& value) override {
    if (path.empty()) {
      if (value.kind != JsonKind::object) refuse_json({"options"}, "object");
      return Step::go_on;
    }
    for (const Field& field : kFields)
      if (path[0] == field.name && value.kind != JsonKind::null) set(field, path, value);
    return Step::skip;
  }

 private:
  void set(const Field& field, const JsonPath& path, const JsonValue& value) {
    if (field.set_flag) {
      if (value.kind != JsonKind::boolean) refuse_json(path, "boolean");
      (options_.*field.set_flag)(value.text == "true");
    } else if (field.set_number) {
      (options_.*field.set_number)(json_uint32(path, value));
    } else {
      if (value.kind != JsonKind::string) refuse_json(path, "string");
      *(options_.*field.mutable_text)() = value.text;
    }
  }

  RuncOptions& options_;
};

}  // namespace

std::string options_to_json(const RuncOptions& options) {
  std::string json = "{";
  for (const Field& field : kFields) {
    std::string value;
    if (field.flag) {
      if ((options.*field.flag)()) value = "true";
    } else if (field.number) {
      if (auto number = (options.*field.number)()) value = std::to_string(number);
    } else if (const std::string& text = (options.*field.text)(); !text.empty()) {
      append_quoted(value, text);
    }
    if (value.empty()) continue;
    if (json.size() > 1) json += ',';
    json += '"';
    json += field.name;
    json += "\":";
    json += value;
  }
  return json + "}";
}

RuncOptions options_from_json(std::string_view json) {
  RuncOptions options;
  OptionsVisitor visitor(options);
  visit_json(json, visitor);
  return options;
}

std::string Bundle::in(std::string_view name) const { return join_path(path_, name); }

void Bundle::replace(const std::string& name, const std::string& content) const {
  const std::string temporary = in("." + name);
  try {
    write_file(temporary, content, 0600);
    if (::rename(temporary.c_str(), in(name).c_str()) != 0) throw_errno("rename " + temporary);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

bool Bundle::is_temporary(std::string_view name) {
  return name == ".address" || name == ".runtime" || name == ".options.json" ||
         name == ".exit.json" || name == ".member" || CallFile::is_name(name);
}

std::string Bundle::work() const {
  const std::string path = in("work");
  return ::access(path.c_str(), F_OK) == 0 ? path : "";
}

// In `work`, as in the stock shim.
std::string Bundle::criu_work() const {
  const std::string directory = work();
  return join_path(directory.empty() ? path_ : directory, "criu-work");
}

void Bundle::write_address(const std::string& address) const { replace("address", address); }

std::optional<std::string> Bundle::read_address() const {
  std::optional<std::string> address = read_file(in("address"), 4096);
  if (address && address->empty()) return std::nullopt;
  return address;
}

void Bundle::write_socket_dir(const std::string& directory) const {
  std::string link = in("s");
  if (::unlink(link.c_str()) != 0 && errno != ENOENT) throw_errno("unlink " + link);
  if (::symlink(directory.c_str(), link.c_str()) != 0) throw_errno("symlink " + link);
}

void Bundle::write_runtime(const std::string& binary_name) const {
  replace("runtime", binary_name);
}

std::optional<std::string> Bundle::read_runtime() const { return read_file(in("runtime"), 4096); }

void Bundle::write_options(const RuncOptions& options) const {
  replace("options.json", options_to_json(options));
}

std::optional<RuncOptions> Bundle::read_options() const {
  std::string path = in("options.json");
  std::optional<std::string> json = read_file(path, 1u << 20);
  if (!json) return std::nullopt;
  try {
    return options_from_json(*json);
  } catch (const Error& failure) {
    throw failure.in("read " + path);
  }
}

void Bundle::write_exit(const Exit& exit) const { replace("exit.json", exit_to_json(exit)); }

std::optional<Exit> Bundle::read_exit() const {
  for (const char* name : {"exit.json", "exitstatus.json"}) {
    const std::string path = in(name);
    const std::optional<std::string> json = read_file(path, 4096);
    if (!json) continue;
    try {
      const Exit exit = exit_from_json(*json);
      if (read_pid_file(init_pid()) == exit.pid) return exit;
    } catch (const Error& failure) {
      throw failure.in("read " + path);
    }
  }
  return std::nullopt;
}

}  // namespace thinshim
