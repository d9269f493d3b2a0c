// SPDX-License-Identifier: Apache-2.0
#include "fuzz/wire_mutator.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace thinshim::fuzz {
namespace {

// The types of the wire format; the groups (3, 4) are obsolete.
constexpr unsigned kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

struct Field {
  std::uint64_t number = 0;
  unsigned type = kVarint;
  std::uint64_t varint = 0;
  std::string bytes;  // of the other types
};

std::optional<std::uint64_t> take_varint(std::string_view& wire) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !wire.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(wire.front());
    wire.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

void append_varint(std::string& wire, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) wire += static_cast<char>(value | 0x80);
  wire += static_cast<char>(value);
}

std::optional<Field> take_field(std::string_view& wire) {
  std::optional<std::uint64_t> tag = take_varint(wire);
  if (!tag || *tag >> 3 == 0) return std::nullopt;
  Field field{*tag >> 3, static_cast<unsigned>(*tag & 7), 0, {}};
  std::optional<std::uint64_t> number;
  switch (field.type) {
    case kVarint:
      number = take_varint(wire);
      if (number) field.varint = *number;
      break;
    case kBytes:
      number = take_varint(wire);
      break;
    case kFixed64:
      number = 8;
      break;
    case kFixed32:
      number = 4;
      break;
    default:
      break;
  }
  if (!number) return std::nullopt;
  if (field.type == kVarint) return field;
  if (*number > wire.size()) return std::nullopt;
  field.bytes = wire.substr(0, *number);
  wire.remove_prefix(*number);
  return field;
}

std::optional<std::vector<Field>> parse(std::string_view wire) {
  std::vector<Field> fields;
  while (!wire.empty()) {
    std::optional<Field> field = take_field(wire);
    if (!field) return std::nullopt;
    fields.push_back(std::move(*field));
  }
  return fields;
}

std::string serialize(const std::vector<Field>& fields) {
  std::string wire;
  for (const Field& field : fields) {
    append_varint(wire, field.number << 3 | field.type);
    if (field.type == kVarint) append_varint(wire, field.varint);
    if (field.type == kBytes) append_varint(wire, field.bytes.size());
    wire += field.bytes;
  }
  return wire;
}

std::uint64_t interesting_number(std::mt19937& random) {
  constexpr std::uint64_t kNumbers[] = {0, 1, 2, 9, 15, 64, 127, 128, 1u << 16, 0x7fffffff};
  switch (random() % 4) {
    case 0:
      return random() % 256;
    case 1:
      return ~std::uint64_t(0) >> random() % 64;
    default:
      return kNumbers[random() % std::size(kNumbers)];
  }
}

void change(Field& field, std::mt19937& random) {
  if (field.type == kVarint)
    field.varint = interesting_number(random);
  else if (field.type == kBytes && random() % 4 != 0)
    field.bytes = mutate_message(field.bytes, random);
  else if (field.type == kBytes)
    field.bytes = mutate_bytes(field.bytes, random);
  else
    std::ranges::generate(field.bytes, [&] { return static_cast<char>(random()); });
}

Field new_field(std::mt19937& random) {
  Field field{1 + random() % 12, random() % 2 ? kBytes : kVarint, 0, {}};
  change(field, random);
  return field;
}

}  // namespace

std::string mutate_bytes(std::string_view bytes, std::mt19937& random) {
  constexpr std::size_t kRoom = 64;
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  const bool keep_ascii = std::ranges::all_of(bytes, is_ascii) && random() % 4 != 0;
  std::string changed(bytes);
  changed.resize(bytes.size() + kRoom);
  changed.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(changed.data()), bytes.size(),
                                  changed.size()));
  if (keep_ascii)
    for (char& c : changed) c = static_cast<char>(c & 0x7f);
  return changed;
}

std::string mutate_message(std::string_view message, std::mt19937& random) {
  std::optional<std::vector<Field>> fields = parse(message);
  if (!fields || random() % 16 == 0) return mutate_bytes(message, random);
  const std::size_t place = fields->empty() ? 0 : random() % fields->size();
  const auto at = fields->begin() + static_cast<std::ptrdiff_t>(place);
  switch (fields->empty() ? 0 : random() % 8) {
    case 0:
      fields->insert(at, new_field(random));
      break;
    case 1:
      fields->erase(at);
      break;
    case 2:
      fields->push_back((*fields)[place]);
      break;
    case 3:
      (*fields)[place].number = 1 + random() % 12;
      break;
    default:
      change((*fields)[place], random);
  }
  return serialize(*fields);
}

}  // namespace thinshim::fuzz
