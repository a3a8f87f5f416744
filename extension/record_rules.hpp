// The messages of record.proto as tables of their fields, for showing them. Numbers as there: for good.
#pragma once

#include <cstdint>
#include <span>

namespace anabranch {

// How the value of a field is shown.
enum class Show {
  number,
  signed_number,
  boolean,
  text,
  hex,
  lsn,
  time,
  choice,
  column,
  columns,
  relation,
  message,
  row
};

struct MessageRule;

struct FieldRule {
  uint32_t number;
  const char* name;
  Show show;
  bool is_repeated = false;
  const MessageRule* message = nullptr;
  std::span<const char* const> choices = {};
};

struct MessageRule {
  const char* name;
  std::span<const FieldRule> fields;
};

constexpr const char* identities[] = {"default", "index", "full", "nothing"};
constexpr const char* befores[] = {"none", "key", "full"};
constexpr const char* encodings[] = {"text",  "bool", "integer", "oid",       "float4",  "float8",
                                     "bytes", "date", "time",    "timestamp", "raw_text"};

constexpr FieldRule omitted_fields[] = {
    {1, "column", Show::column}, {2, "sqlstate", Show::text}, {3, "reason", Show::text}};
constexpr MessageRule omitted{"omitted", omitted_fields};
constexpr FieldRule gaps_fields[] = {{1, "fragmented", Show::columns}, {2, "omitted", Show::message, true, &omitted}};
constexpr MessageRule gaps{"gaps", gaps_fields};
constexpr FieldRule column_fields[] = {{1, "number", Show::number},
                                       {2, "name", Show::text},
                                       {3, "type_oid", Show::number},
                                       {4, "type_schema", Show::text},
                                       {5, "type_name", Show::text},
                                       {6, "type_modifier", Show::signed_number},
                                       {7, "encoding", Show::choice, false, nullptr, encodings},
                                       {8, "in_identity", Show::boolean}};
constexpr MessageRule column_rule{"column", column_fields};
constexpr FieldRule truncated_fields[] = {{1, "relation", Show::relation}, {2, "leaf", Show::number}};
constexpr MessageRule truncated{"truncated", truncated_fields};

constexpr FieldRule begin_fields[] = {{1, "format", Show::number},
                                      {2, "xid", Show::number},
                                      {3, "commit_time", Show::time},
                                      {4, "commit_lsn", Show::lsn},
                                      {5, "origin", Show::text}};
constexpr FieldRule relation_fields[] = {{1, "oid", Show::number},
                                         {2, "generation", Show::number},
                                         {3, "schema", Show::text},
                                         {4, "name", Show::text},
                                         {5, "replica_identity", Show::choice, false, nullptr, identities},
                                         {6, "columns", Show::message, true, &column_rule}};
constexpr FieldRule insert_fields[] = {
    {1, "relation", Show::relation}, {2, "after", Show::row}, {3, "after_gaps", Show::message, false, &gaps}};
constexpr FieldRule update_fields[] = {{1, "relation", Show::relation},
                                       {2, "before_kind", Show::choice, false, nullptr, befores},
                                       {3, "before", Show::row},
                                       {4, "after", Show::row},
                                       {5, "unchanged", Show::columns},
                                       {6, "before_gaps", Show::message, false, &gaps},
                                       {7, "after_gaps", Show::message, false, &gaps}};
constexpr FieldRule delete_fields[] = {{1, "relation", Show::relation},
                                       {2, "before_kind", Show::choice, false, nullptr, befores},
                                       {3, "before", Show::row},
                                       {4, "before_gaps", Show::message, false, &gaps}};
constexpr FieldRule truncate_fields[] = {{1, "relations", Show::message, true, &truncated},
                                         {2, "cascade", Show::boolean},
                                         {3, "restart_identity", Show::boolean}};
constexpr FieldRule message_fields[] = {{1, "transactional", Show::boolean},
                                        {2, "prefix", Show::text},
                                        {3, "content", Show::hex},
                                        {4, "lsn", Show::lsn},
                                        {5, "omitted_bytes", Show::number}};
constexpr FieldRule unselected_fields[] = {{1, "relation", Show::relation}};
constexpr FieldRule commit_fields[] = {
    {1, "end_lsn", Show::lsn}, {2, "changes", Show::number}, {3, "crc", Show::number}};
constexpr FieldRule fragment_fields[] = {{1, "before", Show::boolean},
                                         {2, "number", Show::number},
                                         {3, "offset", Show::number},
                                         {4, "total", Show::number},
                                         {5, "data", Show::hex}};

// By record::Kind.
constexpr MessageRule records[] = {{"", {}},
                                   {"begin", begin_fields},
                                   {"relation", relation_fields},
                                   {"insert", insert_fields},
                                   {"update", update_fields},
                                   {"delete", delete_fields},
                                   {"truncate", truncate_fields},
                                   {"message", message_fields},
                                   {"unselected", unselected_fields},
                                   {"commit", commit_fields},
                                   {"fragment", fragment_fields}};

}  // namespace anabranch
