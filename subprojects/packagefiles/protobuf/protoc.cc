// SPDX-License-Identifier: Apache-2.0
// protoc with C++ as its one language: upstream's main() has eight more, which take long to build.
#include <google/protobuf/compiler/command_line_interface.h>
#include <google/protobuf/compiler/cpp/generator.h>

int main(int argc, char** argv) {
  google::protobuf::compiler::cpp::CppGenerator cpp;
  google::protobuf::compiler::CommandLineInterface protoc;
  protoc.RegisterGenerator("--cpp_out", "--cpp_opt", &cpp, "Writes a C++ header and source.");
  return protoc.Run(argc, argv);
}
