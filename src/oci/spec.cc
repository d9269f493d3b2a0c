// SPDX-License-Identifier: Apache-2.0
#include "oci/spec.h"

#include "oci/json.h"

namespace thinshim {
namespace {

constexpr std::string_view kGroup = "io.containerd.runc.v2.group";
constexpr std::string_view kSandbox = "io.kubernetes.cri.sandbox-id";

class GroupVisitor final : public JsonVisitor {
 public:
  std::optional<std::string> group() const { return group_ ? group_ : sandbox_; }

  Step value(const JsonPath& path, const JsonValue& value) override {
    switch (path.size()) {
      case 0:
        if (value.kind != JsonKind::object) refuse_json({"config"}, "object");
        return Step::go_on;
      case 1:
        if (path[0] != "annotations") return Step::skip;
        if (value.kind != JsonKind::object && value.kind != JsonKind::null)
          refuse_json(path, "object");
        return Step::go_on;
      default:
        if (value.kind != JsonKind::string && value.kind != JsonKind::null)
          refuse_json(path, "string");
        if (path[1] == kGroup) group_ = value.text;
        if (path[1] == kSandbox) sandbox_ = value.text;
        return Step::go_on;
    }
  }
  Step end(const JsonPath& path) override { return path.size() == 1 ? Step::stop : Step::go_on; }

 private:
  std::optional<std::string> group_;
  std::optional<std::string> sandbox_;
};

// The current element of linux.namespaces, linux.uidMappings or linux.gidMappings.
struct Namespace {
  std::string type;
  bool joined = false;
};
struct Mapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
};

class ContainerVisitor final : public JsonVisitor {
 public:
  const ContainerSpec& spec() const { return spec_; }

  Step value(const JsonPath& path, const JsonValue& value) override {
    switch (path.size()) {
      case 0:
        if (value.kind != JsonKind::object) refuse_json({"config"}, "object");
        return Step::go_on;
      case 1:
        if (path[0] != "linux" && path[0] != "root") return Step::skip;
        return expect(path, value, JsonKind::object, "object");
      case 2:
        if (path[0] == "root") {
          if (path[1] == "path") spec_.root_path = text(path, value);
          return Step::skip;
        }
        if (path[1] == "cgroupsPath") spec_.cgroups_path = text(path, value);
        return is_list(path[1]) ? expect(path, value, JsonKind::array, "array") : Step::skip;
      case 3:
        namespace_ = {};
        mapping_ = {};
        return expect(path, value, JsonKind::object, "object");
      default:
        member(path, value);
        return Step::skip;
    }
  }

  Step end(const JsonPath& path) override {
    if (path.size() == 1) {  // root comes first, as containerd writes it
      (path[0] == "linux" ? linux_read_ : root_read_) = true;
      return linux_read_ && root_read_ ? Step::stop : Step::go_on;
    }
    if (path.size() != 3) return Step::go_on;
    if (path[1] == "namespaces") {
      if (namespace_.type == "pid" && !namespace_.joined) spec_.own_pid_namespace = true;
    } else if (mapping_.container_id == 0 && mapping_.size > 0) {
      (path[1] == "uidMappings" ? spec_.root_uid : spec_.root_gid) = mapping_.host_id;
    }
    return Step::go_on;
  }

 private:
  static bool is_list(const std::string& key) {
    return key == "namespaces" || key == "uidMappings" || key == "gidMappings";
  }

  void member(const JsonPath& path, const JsonValue& value) {
    const std::string& key = path[3];
    if (path[1] == "namespaces") {
      if (key == "type") namespace_.type = text(path, value);
      if (key == "path") namespace_.joined = !text(path, value).empty();
    } else {
      if (key == "containerID") mapping_.container_id = json_uint32(path, value);
      if (key == "hostID") mapping_.host_id = json_uint32(path, value);
      if (key == "size") mapping_.size = json_uint32(path, value);
    }
  }

  // null is the same as a missing member, as in Go.
  static Step expect(const JsonPath& path, const JsonValue& value, JsonKind kind,
                     const char* name) {
    if (value.kind != kind && value.kind != JsonKind::null) refuse_json(path, name);
    return Step::go_on;
  }
  static std::string_view text(const JsonPath& path, const JsonValue& value) {
    expect(path, value, JsonKind::string, "string");
    if (value.text.find('\0') != std::string_view::npos) refuse_json(path, "string without NUL");
    return value.text;
  }

  ContainerSpec spec_;
  Namespace namespace_;
  Mapping mapping_;
  bool linux_read_ = false;
  bool root_read_ = false;
};

}  // namespace

std::optional<std::string> group_of(const std::string& config_path) {
  GroupVisitor visitor;
  visit_json_file(config_path, visitor);
  return visitor.group();
}

ContainerSpec read_container_spec(const std::string& config_path) {
  ContainerVisitor visitor;
  visit_json_file(config_path, visitor);
  return visitor.spec();
}

}  // namespace thinshim
