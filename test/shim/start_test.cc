// SPDX-License-Identifier: Apache-2.0
// The two protocols of stdin. test/end_to_end tests what `start` does with the real binary.
#include "shim/start.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bootstrap.pb.h"
#include "wire.pb.h"

namespace thinshim {
namespace {

namespace bootstrap = containerd::runtime::bootstrap::v1;

Arguments called_with(const std::string& id = "c1", const std::string& ns = "default") {
  Arguments arguments;
  arguments.id = id;
  arguments.containerd_namespace = ns;
  arguments.address = "/run/grpc.sock";
  arguments.ttrpc_address = "/run/ttrpc.sock";
  return arguments;
}

bootstrap::BootstrapParams params(const std::string& id = "c1", const std::string& ns = "default") {
  bootstrap::BootstrapParams params;
  params.set_instance_id(id);
  params.set_namespace_(ns);
  return params;
}

std::string serialized_any(const std::string& type_url, const std::string& value) {
  wire::Any any;
  any.set_type_url(type_url);
  any.set_value(value);
  return any.SerializeAsString();
}

std::string request_refusal(const std::string& input) {
  try {
    parse_start_request(input, called_with());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "accepted";
}
const std::string kNeither =
    "stdin: neither BootstrapParams of this container nor runtime options of a known type";

TEST(StartRequest, IsOfTheOldProtocolIfStdinIsEmpty) {
  StartRequest request = parse_start_request("", called_with());
  EXPECT_FALSE(request.bootstrap);
  EXPECT_EQ(request.grpc_address, "/run/grpc.sock");
  EXPECT_EQ(request.ttrpc_address, "/run/ttrpc.sock");
  EXPECT_EQ(request.socket_directory, "");
  EXPECT_FALSE(request.debug);
}

TEST(StartRequest, IsOfTheOldProtocolIfStdinHasOptions) {
  for (const std::string& value :
       {std::string(), std::string("\x32\x04runc"), std::string("\xff\xfe\x00", 3)}) {
    StartRequest request =
        parse_start_request(serialized_any("containerd.runc.v1.Options", value), called_with());
    EXPECT_FALSE(request.bootstrap);
    EXPECT_EQ(request.grpc_address, "/run/grpc.sock");
    EXPECT_EQ(request.options.type_url(), "containerd.runc.v1.Options");
    EXPECT_EQ(request.options.value(), value);
  }
}

TEST(StartRequest, WithOptionsOfATypeUnknownHereIsRefused) {
  for (const char* type : {"containerd.linux.runc.CreateOptions", "containerd.runc.v1.Option", "x"})
    EXPECT_EQ(request_refusal(serialized_any(type, "")),
              kNeither + ": \"" + type + "\": invalid argument");
  EXPECT_EQ(request_refusal(serialized_any(std::string(5000, 'x'), "")),
            kNeither + ": \"" + std::string(100, 'x') + "\": invalid argument");
}

TEST(StartRequest, OfTheNewProtocolHasOptionsAmongItsExtensions) {
  bootstrap::BootstrapParams input = params();
  input.add_extensions()->mutable_value()->set_type_url("somebody.elses.v1.Extension");
  EXPECT_EQ(parse_start_request(input.SerializeAsString(), called_with()).options.type_url(), "");
  input.add_extensions();
  wire::Any& options = *input.add_extensions()->mutable_value();
  options.set_type_url("type.googleapis.com/containerd.runc.v1.Options");
  options.set_value("v");
  input.add_extensions()->mutable_value()->set_type_url("runtimeoptions.v1.Options");
  StartRequest request = parse_start_request(input.SerializeAsString(), called_with());
  EXPECT_TRUE(request.bootstrap);
  EXPECT_EQ(request.options.type_url(), "type.googleapis.com/containerd.runc.v1.Options");
  EXPECT_EQ(request.options.value(), "v") << "the first of them";
}

TEST(StartRequest, OfTheNewProtocolOverridesFlagsAndEnvironment) {
  bootstrap::BootstrapParams input = params();
  input.set_containerd_grpc_address("/run/other-grpc.sock");
  input.set_containerd_ttrpc_address("/run/other-ttrpc.sock");
  input.set_socket_dir("/run/user/1000/s");
  input.set_containerd_version("v2.3.0");
  input.add_extensions()->mutable_value()->set_type_url("containerd.runc.v1.Options");
  StartRequest request = parse_start_request(input.SerializeAsString(), called_with());
  EXPECT_TRUE(request.bootstrap);
  EXPECT_EQ(request.grpc_address, "/run/other-grpc.sock");
  EXPECT_EQ(request.ttrpc_address, "/run/other-ttrpc.sock");
  EXPECT_EQ(request.socket_directory, "/run/user/1000/s");
  EXPECT_FALSE(request.debug);
}

TEST(StartRequest, OfTheNewProtocolFallsBackToFlagsAndEnvironment) {
  StartRequest request = parse_start_request(params().SerializeAsString(), called_with());
  EXPECT_TRUE(request.bootstrap);
  EXPECT_EQ(request.grpc_address, "/run/grpc.sock");
  EXPECT_EQ(request.ttrpc_address, "/run/ttrpc.sock");
  EXPECT_EQ(request.socket_directory, "");
}

TEST(StartRequest, OfTheNewProtocolNeedsNoFlags) {
  const Arguments nothing = called_with("", "");
  const StartRequest request = parse_start_request(params().SerializeAsString(), nothing);
  EXPECT_TRUE(request.bootstrap);
  EXPECT_EQ(request.id, "c1");
  EXPECT_EQ(request.containerd_namespace, "default");
  const auto refusal = [&](const std::string& input) {
    try {
      parse_start_request(input, nothing);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refusal(""), "shim namespace cannot be empty");
  EXPECT_EQ(refusal(serialized_any("containerd.runc.v1.Options", "")),
            "shim namespace cannot be empty");
  EXPECT_EQ(refusal(params("c1", "").SerializeAsString()), "shim namespace cannot be empty");
  EXPECT_EQ(refusal(params("", "default").SerializeAsString()),
            "id must not be empty: invalid argument");
  EXPECT_NE(refusal(params("../c1").SerializeAsString()).find("id \"../c1\" must match"),
            std::string::npos);
  EXPECT_NE(refusal(params("c1", "a/b").SerializeAsString()).find("namespace \"a/b\" must match"),
            std::string::npos);
}

TEST(StartRequest, KnowsTheLevelsOfTheLog) {
  struct {
    bootstrap::LogLevel level;
    bool debug;
  } table[] = {
      {bootstrap::LOG_LEVEL_TRACE, true},  {bootstrap::LOG_LEVEL_DEBUG, true},
      {bootstrap::LOG_LEVEL_INFO, false},  {bootstrap::LOG_LEVEL_WARN, false},
      {bootstrap::LOG_LEVEL_ERROR, false}, {bootstrap::LOG_LEVEL_PANIC, false},
  };
  for (const auto& row : table) {
    bootstrap::BootstrapParams input = params();
    input.set_log_level(row.level);
    EXPECT_EQ(parse_start_request(input.SerializeAsString(), called_with()).debug, row.debug);
  }
  // An unknown level, as ten bytes.
  std::string unknown =
      params().SerializeAsString() + "\x18\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01";
  EXPECT_FALSE(parse_start_request(unknown, called_with()).debug) << "-3 is above debug";
  Arguments arguments = called_with();
  arguments.debug = true;
  EXPECT_TRUE(parse_start_request("", arguments).debug);
  EXPECT_TRUE(parse_start_request(params().SerializeAsString(), arguments).debug);
}

// The two messages begin alike: fields 1 and 2 are strings.
TEST(StartRequest, IsNotTakenForTheOtherProtocol) {
  // Options whose type and value look like ids, but not like this container's.
  EXPECT_FALSE(
      parse_start_request(serialized_any("containerd.runc.v1.Options", "default"), called_with())
          .bootstrap);
  for (const auto& [first, second] : {std::pair("c1", "other"), std::pair("c2", "default"),
                                      std::pair("", "default"), std::pair("c1", "")})
    EXPECT_EQ(request_refusal(serialized_any(first, second)),
              kNeither + ": \"" + first + "\": invalid argument");
  // By containerd's own rule this is the new protocol (compatibility: instance id and namespace are
  // those of the flags).
  EXPECT_TRUE(parse_start_request(serialized_any("c1", "default"), called_with()).bootstrap);
  // With BootstrapParams of another container the answer must not be protobuf.
  EXPECT_EQ(request_refusal(params("c2").SerializeAsString()),
            kNeither + ": \"c2\": invalid argument");
  EXPECT_EQ(request_refusal(params("c1", "other").SerializeAsString()),
            kNeither + ": \"c1\": invalid argument");
}

TEST(StartRequest, MayHoldFieldsOfTheFuture) {
  std::string future = params().SerializeAsString() + "\xa2\x06\x03new";  // field 100
  EXPECT_TRUE(parse_start_request(future, called_with()).bootstrap);
  std::string options = serialized_any("containerd.runc.v1.Options", "") + "\xa2\x06\x03new";
  EXPECT_FALSE(parse_start_request(options, called_with()).bootstrap);
}

TEST(StartRequest, OfNeitherProtocolIsRefused) {
  const std::string good = params().SerializeAsString();
  for (const std::string& garbage :
       {std::string("hello"), std::string("\n"), std::string("{\"version\":3}"),
        std::string("\0", 1), std::string("\xff\xff\xff\xff"), good.substr(0, good.size() - 1),
        std::string("\x0a\xff\xff\xff\xff\x0f")}) {
    EXPECT_EQ(request_refusal(garbage), kNeither + ": invalid argument");
  }
  EXPECT_EQ(request_refusal("\xa2\x06\x03new"), kNeither + ": \"\": invalid argument");
}

TEST(StartRequest, WithANulByteInAPathIsRefused) {
  const std::string path("/run/\0x", 7);
  bootstrap::BootstrapParams grpc = params(), ttrpc = params(), directory = params();
  grpc.set_containerd_grpc_address(path);
  ttrpc.set_containerd_ttrpc_address(path);
  directory.set_socket_dir(path);
  for (const auto& input : {grpc, ttrpc, directory})
    EXPECT_EQ(request_refusal(input.SerializeAsString()),
              "stdin: \"/run/\\x00x\" contains a NUL byte: invalid argument");
}

TEST(StartRequest, MayBeAsLargeAsTheStockShimReads) {
  bootstrap::BootstrapParams input = params();
  input.add_extensions()->mutable_value()->set_value(std::string((10u << 20) - 100, 'x'));
  EXPECT_TRUE(parse_start_request(input.SerializeAsString(), called_with()).bootstrap);
  EXPECT_FALSE(parse_start_request(serialized_any("containerd.runc.v1.Options",
                                                  std::string((10u << 20) - 100, 'x')),
                                   called_with())
                   .bootstrap);
}

}  // namespace
}  // namespace thinshim
