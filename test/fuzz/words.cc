// SPDX-License-Identifier: Apache-2.0
// Short texts: the URIs of streams, the command line, names that become paths, the kernel's files
// about a process that has chosen its name, and untrusted text in messages and in the log. The
// first byte selects one.
#include <algorithm>

#include "base/identifier.h"
#include "base/log.h"
#include "base/proc.h"
#include "fuzz/fuzz.h"
#include "process/command_line.h"
#include "shim/address.h"
#include "shim/arguments.h"
#include "shim/version.h"
#include "stdio/stream_uri.h"
#include "ttrpc/status.h"

namespace thinshim::fuzz {
namespace {

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

std::string encoded(std::string_view text) {
  std::string result;
  for (char c : text) {
    char code[8];
    std::snprintf(code, sizeof code, "%%%02x", static_cast<unsigned char>(c));
    result += code;
  }
  return result;
}

void check_uri(std::string_view text) {
  const std::string written(text);
  const auto uri = attempt_in_words([&] { return parse_stream_uri(written); });
  if (!uri) return;
  if (uri->scheme == "fifo") return;
  if (uri->scheme != "file" && uri->scheme != "binary" && uri->scheme != "binary-v2")
    return expect(uri->scheme + "://" + uri->path == written, "unknown schemes are passed on");
  expect(uri->path.starts_with('/') && !has_nul(uri->path), "a path is absolute, and whole");
  std::string again = uri->scheme + "://" + encoded(uri->path) + "?";
  for (const auto& [key, value] : uri->query) {
    expect(!has_nul(key) && !has_nul(value), "an argument is whole");
    again += encoded(key) + "=" + encoded(value) + "&";
  }
  const StreamUri read = parse_stream_uri(again);
  expect(read.scheme == uri->scheme && read.path == uri->path && read.query == uri->query,
         "a URI is read back the same");
}

void check_arguments(std::string_view text) {
  const std::vector<std::string> words = split(text, '\0');
  const auto lookup = [&](const char* name) {
    return name == words.front() ? words.back().c_str() : nullptr;
  };
  const auto arguments = attempt_in_words([&] { return parse_arguments(words, lookup); });
  if (!arguments || arguments->action < Action::serve) return;
  const bool says_neither = arguments->id.empty() && arguments->containerd_namespace.empty();
  if (arguments->action == Action::start && says_neither) return;
  expect(is_identifier(arguments->id) && is_identifier(arguments->containerd_namespace),
         "no name leaves its directory");
}

void check_command_line(std::string_view text) {
  std::vector<std::string> words = split(text, '\0');
  std::string block;  // as execve(2) lays it out
  for (const std::string& word : words) block += word + '\0';
  const std::string before = block;
  std::vector<char*> argv;
  std::size_t place = 0;
  for (const std::string& word : words) {
    argv.push_back(block.data() + place);
    place += word.size() + 1;
  }
  CommandLine line(static_cast<int>(argv.size()), argv.data());
  std::ranges::reverse(words);
  line.replace(words);
  expect(block.starts_with(before.substr(0, words.back().size() + 1)),
         "the program keeps its name");
  expect(block.back() == '\0', "the last word ends");
  line.restore();
  expect(block == before, "the first words come back");
}

void check_identifier_of(std::string_view text) {
  const bool good = is_identifier(text);
  expect(attempt_in_words([&] {
           return thinshim::check_identifier(text, "id"), true;
         }).has_value() == good,
         "what is no identifier is refused");
  if (!good) return;
  expect(!text.empty() && text.size() <= 76 && text.find('/') == std::string_view::npos &&
             text.find("..") == std::string_view::npos && text.front() != '.' && is_printable(text),
         "an identifier is one name in a directory");
}

std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      plain += text[i];
      continue;
    }
    const char kind = text[++i];
    if (kind == 'x')
      plain += static_cast<char>(std::stoi(std::string(text.substr(++i, 2)), {}, 16));
    if (kind == 'x') ++i;
    if (kind == 'n') plain += '\n';
    if (kind == 't') plain += '\t';
    if (kind == 'r') plain += '\r';
    if (kind == '"' || kind == '\\') plain += kind;
  }
  return plain;
}

void check_messages(std::string_view text) {
  const std::size_t most = take_byte(text);
  const std::string whole = escaped(text), part = escaped(text, most);
  expect(is_printable(whole) && is_printable(part), "foreign text becomes printable");
  expect(unescaped(whole) == text, "nothing of it is lost");
  expect(part.size() <= most && (part == whole || whole.size() > most), "it is cut where asked");

  wire::Status sent;
  sent.set_message(std::string(text));
  expect(wire::Status().ParseFromString(sent.SerializeAsString()) == is_utf8(text),
         "UTF-8 is what protobuf takes for it");
  const wire::Status status = to_status(Error::unknown(std::string(text)));
  expect(wire::Status().ParseFromString(status.SerializeAsString()), "any failure can be told");
  if (is_utf8(text))  // an exception's text ends with its first zero byte
    expect(status.message() == text.substr(0, text.find('\0')), "its text is not changed");

  const std::string line =
      log::format(log::Level::info, text, {{"a", text}, {"error", text}}, 1700000000, 999999999);
  expect(line.size() <= log::kLongestLine && line.back() == '\n', "the log has lines");
  expect(is_printable(std::string_view(line).substr(0, line.size() - 1)), "lines are printable");
}

// A process may have any name.
void check_process(std::string_view text) {
  const std::string name(text.substr(0, 15));
  const std::string stat =
      "7 (" + name + ") S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 9\n";
  expect(stat_field(stat, 3) == "S" && stat_field(stat, 9) == "4194560" &&
             stat_field(stat, 22) == "12345",
         "fields are found behind any name");
  const std::string line = name.substr(0, name.find('\n'));  // the kernel escapes newlines
  const std::string status = "Name:\t" + line + "\nSigPnd:\t0100\nShdPnd:\t0200\n";
  expect(status_field(status, "SigPnd") == "0100" && status_field(status, "ShdPnd") == "0200",
         "lines are found behind any name");
  stat_field(text, 22);
  status_field(text, "SigPnd");
  const std::optional<int> version = version_in(text);
  expect(!version || *version == kLegacyVersion || *version == kBootstrapVersion,
         "a version is one of two");
  const std::string program(text.substr(0, text.find('\0')));
  expect(version_in(program + '\0' + kVersionFlag + "3") == kBootstrapVersion, "ours is known");
}

// "GRPC-ADDRESS/NAMESPACE/GROUP", however the slashes are split.
void check_address(std::string_view text) {
  const std::vector<std::string> parts = split(text, '\0');
  const std::string one = parts.front(), rest = parts.back();
  const std::string path = socket_path("/d", one, "", rest);
  expect(path == socket_path("/d", one + "/", "", "./" + rest) || one.empty() || rest.empty(),
         "an address is clean");
  expect(base_name(path).size() == 64, "a socket's name is a hash");
  const std::optional<std::string> of_address = path_of_address(one);
  if (of_address) expect(address_of_path(*of_address) == one, "an address is read back the same");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = text_of(data, size);
  constexpr void (*kChecks[])(std::string_view) = {
      check_uri,      check_arguments, check_command_line, check_identifier_of,
      check_messages, check_address,   check_process};
  const unsigned choice = take_byte(text);
  kChecks[choice % std::size(kChecks)](text);
  return 0;
}
