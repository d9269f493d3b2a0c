// SPDX-License-Identifier: Apache-2.0
// Texts about mounts: mountinfo (base/mountinfo.h, oci/unmount.h), the options of a root file
// system's mounts with an overlay's directories (oci/mount_options.h), id maps (oci/idmap.h). The
// first byte selects one.
#include "oci/mount_options.h"

#include <sys/mount.h>

#include "base/mountinfo.h"
#include "fuzz/fuzz.h"
#include "oci/idmap.h"
#include "oci/unmount.h"

namespace thinshim::fuzz {
namespace {

using Words = std::vector<std::string>;

// As the kernel does.
std::string escape_mount(std::string_view text) {
  std::string escaped_text;
  for (char c : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\%03o", static_cast<unsigned char>(c));
    escaped_text +=
        std::string_view(" \t\n\\").find(c) == std::string_view::npos ? std::string(1, c) : code;
  }
  return escaped_text;
}

void check_mountinfo(std::string_view text) {
  const std::string directory(text.substr(0, text.find('\n')));
  for (const std::string& point : mount_points_below(text, directory))
    expect(point == directory || point.starts_with(directory + "/"), "a point is below");
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t before = rest.size();
    const MountinfoLine mount = take_mount(rest);
    expect(rest.size() < before, "every line is taken");
    expect(unescape_mount(mount.point).size() <= mount.point.size(), "escapes are not longer");
  }
  const std::string line = "1 2 0:3 / " + escape_mount(text) + " rw shared:1 - x y z\n";
  std::string_view lines = line;
  const MountinfoLine mount = take_mount(lines);
  expect(unescape_mount(mount.point) == text, "any path is read back the same");
  expect(mount.type == "x" && mount.super_options == "z", "fields behind it are found");
  if (!text.empty())
    expect(mount_points_below(line, text) == Words{std::string(text)}, "a mount is found");
}

void check_options(std::string_view text) {
  const Words words = split(text, '\n');
  const auto options = attempt_in_words([&] { return parse_mount_options(words); });
  if (!options) return;
  constexpr unsigned long kPropagation = MS_PRIVATE | MS_SHARED | MS_SLAVE | MS_UNBINDABLE | MS_REC;
  expect((options->propagation & ~kPropagation) == 0, "propagation is only that");
  expect((options->flags & kPropagation & ~MS_REC) == 0, "flags are without propagation");
  expect(options->data.size() <= words.size(), "options are not made up");
  const Words data = split_data(options->data);
  expect(split_data(data) == data, "what was taken apart stays so");
  if (!options->data.empty())
    expect(join_data(data) == join_data(options->data), "nothing is lost between commas");
  const std::size_t place = find_lowerdir(data);
  if (place != std::string::npos)
    expect(lowerdir_option(lower_dirs(data[place])) == data[place], "directories are kept");
}

void check_layers(std::string_view text) {
  Words dirs;
  for (const std::string& path : split(text, '\n')) {
    dirs.push_back(escape_layer(path));
    expect(unescape_layer(dirs.back()) == path, "any path is read back the same");
  }
  expect(lower_dirs(lowerdir_option(dirs)) == dirs, "layers are told apart");
  expect(split_data({join_data({"ro", lowerdir_option(dirs), "x"})}).size() == 3 ||
             text.find('"') != std::string_view::npos,
         "layers hold no comma");
  const std::optional<std::string> common = common_directory(dirs);
  if (!common) return;
  expect(common->size() >= 2 && common->front() == '/' && common->back() == '/',
         "the common directory is one, and not the root");
  for (const std::string& dir : dirs)
    expect(dir.empty() || (dir.starts_with(*common) && dir != *common), "it holds all");
}

void check_id_map(std::string_view text) {
  const auto ranges = attempt_in_words([&] { return parse_id_map(text); });
  if (!ranges) return;
  std::string written;
  for (const IdRange& range : *ranges)
    written += (written.empty() ? "" : ",") + std::to_string(range.container) + ":" +
               std::to_string(range.host) + ":" + std::to_string(range.size);
  const std::vector<IdRange> again = parse_id_map(written);
  expect(again.size() == ranges->size() && written.size() <= text.size(), "a map is written");
  for (std::size_t i = 0; i < again.size(); ++i)
    expect(again[i].container == (*ranges)[i].container && again[i].host == (*ranges)[i].host &&
               again[i].size == (*ranges)[i].size,
           "a map is read back the same");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = text_of(data, size);
  constexpr void (*kChecks[])(std::string_view) = {check_mountinfo, check_options, check_layers,
                                                   check_id_map};
  const unsigned choice = take_byte(text);
  kChecks[choice % std::size(kChecks)](text);
  return 0;
}
