#include "sidecar/log/topic_record.hpp"

#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "sidecar/log/record_fields.hpp"
#include "sidecar/topic/schema_frame.hpp"
#include "sidecar/topic/topic_fields.hpp"

namespace anabranch {
namespace {

using namespace record_fields;

// An offset or a partition: not negative.
int64_t offset_of(const Field& field) {
  const uint64_t value = number_of(field);
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    throw_damaged(fmt::format("field {} is no offset", field.number));
  return static_cast<int64_t>(value);
}

void append_fingerprints(const Field& field, std::vector<uint64_t>& fingerprints) {
  if (field.type == Type::fixed64) {
    fingerprints.push_back(field.value);
    return;
  }
  const std::string_view packed = bytes_of(field);
  if (packed.size() % 8 != 0) throw_damaged("a list of fingerprints breaks off");
  for (size_t at = 0; at < packed.size(); at += 8) {
    uint64_t value = 0;
    std::memcpy(&value, packed.data() + at, sizeof value);
    fingerprints.push_back(value);
  }
}

SpanRecord read_span(std::string_view body) {
  SpanRecord span;
  read_fields(body, "Span", [&](const Field& field) {
    switch (field.number) {
      case 1:
        span.topic = bytes_of(field);
        break;
      case 2: {
        const uint32_t partition = number32_of(field);
        if (partition > static_cast<uint32_t>(std::numeric_limits<int32_t>::max()))
          throw_damaged("a partition's number is out of range");
        span.partition = static_cast<int32_t>(partition);
        break;
      }
      case 3:
        span.first_offset = offset_of(field);
        break;
      case 4:
        span.last_offset = offset_of(field);
        break;
      case 5:
        span.count = number_of(field);
        break;
      case 6:
        if (field.type != Type::fixed32) throw_damaged("the checksum is not 32 bits");
        span.crc = static_cast<uint32_t>(field.value);
        break;
      case 7:
        append_fingerprints(field, span.relations);
        break;
    }
  });
  if (span.topic.empty() || span.count == 0) throw_damaged("a span of nothing");
  // One record an offset; `last` itself must have a successor.
  if (span.last_offset < span.first_offset || span.last_offset == std::numeric_limits<int64_t>::max() ||
      span.count - 1 > static_cast<uint64_t>(span.last_offset - span.first_offset))
    throw_damaged("a span that holds more records than offsets");
  return span;
}

OmittedColumn read_omitted(std::string_view body) {
  OmittedColumn omitted;
  read_fields(body, "Omitted", [&](const Field& field) {
    switch (field.number) {
      case 1:
        omitted.number = number32_of(field);
        break;
      case 2:
        omitted.sqlstate = bytes_of(field);
        break;
      case 3:
        omitted.reason = bytes_of(field);
        break;
    }
  });
  return omitted;
}

// What must hold within one record of the transaction topic.
void check_part(const PartRecord& part) {
  if (!part.end_lsn.valid()) throw_damaged("a transaction without a position");
  if (part.gap && !part.is_position()) throw_damaged("a gap that holds records");
  // Who adopts a restored server goes on at an earlier position, or at the same one.
  if (part.content ? part.previous_end_lsn != part.end_lsn : !part.gap && part.previous_end_lsn >= part.end_lsn)
    throw_damaged("a transaction that ends before the one before it");
  if (part.is_position()) return;
  // A message that is not transactional is a unit of its own, without an id. Rows that existed are none.
  if (part.content) {
    if (part.begin || part.end || part.xid != 0) throw_damaged("rows that existed, within a transaction");
  } else if (part.xid == 0 ? !part.begin || !part.end : part.commit_lsn >= part.end_lsn) {
    throw_damaged("a transaction without an id, or that ends before its commit starts");
  } else if (part.begin != (part.part <= 1)) {
    throw_damaged("a part that is not the first, and begins its transaction");
  }
  if (part.records > 0 && part.first_number == 0) throw_damaged("records are numbered from 1");
  uint64_t counted = 0;
  for (const SpanRecord& span : part.spans) counted += span.count;
  // A truncate has a copy in every partition, so there may be more than `records`, never fewer.
  if (counted < part.records) throw_damaged("a part with fewer records in its spans than it says");
}

}  // namespace

PartRecord read_part(const TopicRecord& record) {
  if (!record.has_value) throw_damaged("a transaction without a value");
  PartRecord part;
  uint32_t format = 0;
  part.offset = record.offset;
  read_fields(record.value, "Part", [&](const Field& field) {
    switch (field.number) {
      case 1:
        part.end_lsn = Lsn(number_of(field));
        break;
      case 2:
        part.previous_end_lsn = Lsn(number_of(field));
        break;
      case 3:
        part.commit_lsn = Lsn(number_of(field));
        break;
      case 4:
        part.xid = number_of(field);
        break;
      case 5:
        part.commit_time = wire::unzigzag(number_of(field));
        break;
      case 6:
        part.origin = bytes_of(field);
        break;
      case 7:
        part.begin = number_of(field) != 0;
        break;
      case 8:
        part.end = number_of(field) != 0;
        break;
      case 9:
        part.part = number32_of(field);
        break;
      case 10:
        part.records = number_of(field);
        break;
      case 11:
        part.first_number = number_of(field);
        break;
      case 12:
        part.spans.push_back(read_span(bytes_of(field)));
        break;
      case 13:
        append_fingerprints(field, part.unselected);
        break;
      case 14:
        format = number32_of(field);
        break;
      case 15:
        part.gap = number_of(field) != 0;
        break;
      case 16:
        part.content = number_of(field) != 0;
        break;
    }
  });
  if (format != topic_format)
    throw LogError(LogError::Kind::unsupported,
                   fmt::format("the topic is of format {}, this version reads {}", format, topic_format));
  check_part(part);
  return part;
}

void read_topic_row(std::string_view value, TopicRow& row) {
  row.operation = RowOperation{};
  row.before_kind = BeforeKind::none;
  row.before = row.after = {};
  row.leaf = 0;
  row.cascade = row.restart_identity = false;
  if (row.has_details) {
    row.unchanged.clear();
    row.omitted_before.clear();
    row.omitted_after.clear();
    row.has_details = false;
  }
  // With a schema registry a frame stands before it.
  read_fields(without_schema_frame(value), "Row", [&](const Field& field) {
    switch (field.number) {
      case 1:
        row.operation = enum_of(field, RowOperation::message);
        break;
      case 2:
        row.before_kind = enum_of(field, BeforeKind::full);
        break;
      case 3:
        row.before = bytes_of(field);
        break;
      case 4:
        row.after = bytes_of(field);
        break;
      case 5:
        append_numbers(field, row.unchanged);
        row.has_details = true;
        break;
      case 6:
        row.omitted_before.push_back(read_omitted(bytes_of(field)));
        row.has_details = true;
        break;
      case 7:
        row.omitted_after.push_back(read_omitted(bytes_of(field)));
        row.has_details = true;
        break;
      case 8:
        row.leaf = number32_of(field);
        break;
      case 9:
        row.cascade = number_of(field) != 0;
        break;
      case 10:
        row.restart_identity = number_of(field) != 0;
        break;
    }
  });
  if (row.operation == RowOperation{}) throw_damaged("a row without an operation");
}

FragmentPlace read_fragment_header(std::string_view text) {
  FragmentPlace place;
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, place.slice);
  if (error == std::errc() && at != end && *at == '/') {
    const auto [rest, rest_error] = std::from_chars(at + 1, end, place.slices);
    if (rest_error == std::errc() && rest == end && place.slice >= 1 && place.slice <= place.slices) return place;
  }
  throw_damaged("the header \"fragment\" is not of the form 1/2");
}

uint64_t read_number_header(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0)
    throw_damaged("the header \"number\" is no number");
  return number;
}

uint64_t read_fingerprint_header(std::string_view text) {
  uint64_t fingerprint = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fingerprint, 16);
  if (text.size() != 16 || error != std::errc() || end != text.data() + text.size())
    throw_damaged("the header \"relation\" is no fingerprint");
  return fingerprint;
}

uint64_t read_fingerprint_key(std::string_view key) {
  if (key.size() != 8) throw_damaged("a key that is no fingerprint");
  uint64_t fingerprint = 0;
  for (const char byte : key) fingerprint = fingerprint << 8 | static_cast<uint8_t>(byte);
  return fingerprint;
}

}  // namespace anabranch
