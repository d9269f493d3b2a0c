// SPDX-License-Identifier: Apache-2.0
// A bundle's config.json (oci/spec.h), the reader behind it (oci/json.h), the process of an exec
// (oci/process_json.h) and the resources of an update (oci/sparse_json.h).
#include "oci/spec.h"

#include <cstring>

#include "fuzz/fuzz.h"
#include "oci/json.h"
#include "oci/process_json.h"
#include "oci/sparse_json.h"

namespace thinshim::fuzz {
namespace {

// Calls all callbacks, and continues as the text says.
class Teller final : public JsonVisitor {
 public:
  Step value(const JsonPath& path, const JsonValue& value) override {
    expect(path.size() <= 512, "documents are not nested without end");
    text_ += std::to_string(static_cast<int>(value.kind)) + name(path) + "=";
    text_ += std::string(value.text) + "\n";
    if (!path.empty() && path.back() == "skip") return Step::skip;
    return path.size() > 3 && path.back() == "stop" ? Step::stop : Step::go_on;
  }
  Step end(const JsonPath& path) override {
    text_ += "end" + name(path) + "\n";
    return Step::go_on;
  }
  std::string take() { return std::move(text_); }

 private:
  static std::string name(const JsonPath& path) {
    std::string joined;
    for (const std::string& key : path) joined += "." + key;
    return joined;
  }
  std::string text_;
};

template <class Visit>
std::string calls_of(Visit visit) {
  Teller teller;
  attempt([&] { return visit(teller), true; });
  return teller.take();
}

// A file is read in pieces; their boundaries, here in the middle of the text, must make no
// difference.
void check_pieces(MemoryFile& file, std::string_view text) {
  constexpr std::size_t kPiece = 8192;
  const std::string moved =
      std::string(kPiece - std::min(kPiece, text.size() / 2), ' ') + std::string(text);
  const std::string& path = file.with(moved);
  expect(calls_of([&](JsonVisitor& visitor) { visit_json(moved, visitor); }) ==
             calls_of([&](JsonVisitor& visitor) { visit_json_file(path, visitor); }),
         "a file is read as its text is");
}

void check_process(const std::string& text) {
  const auto with = attempt([&] { return with_terminal(text, true); });
  const auto without = attempt([&] { return with_terminal(text, false); });
  expect(with.has_value() == without.has_value(), "either is refused, or none");
  if (!with) return;
  expect(with->ends_with("\"terminal\":true}"), "the terminal is set");
  expect(without->ends_with("\"terminal\":false}"), "the terminal is taken away");
  expect(with_terminal(*with, false) == *without, "the rest is the same");
  try {
    check_json_object(*with, "process");
  } catch (const Error& error) {
    expect(std::strstr(error.what(), "nested too deeply"), "what is passed on is JSON");
  }
}

void check_resources(const std::string& text) {
  const SparseJson change{.maps = {"unified", "rdma"}};
  const auto sparse = attempt([&] { return sparse_json(text, "resources", change); });
  if (!sparse) return;
  expect(sparse_json(*sparse, "resources", change) == *sparse, "nothing more is left out");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim;
using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static MemoryFile file;
  NoDescriptorLeft no_descriptor_left;
  const std::string text(text_of(data, size));
  if (size % 4 == 0) check_pieces(file, text);  // it is slow
  const std::string& path = file.with(text);
  attempt([&] { return group_of(path); });
  const auto spec = attempt([&] { return read_container_spec(path); });
  if (spec)
    expect(!has_nul(spec->cgroups_path) && !has_nul(spec->root_path),
           "no path is cut short where it is used");
  check_process(text);
  check_resources(text);
  return 0;
}
