// The messages of record.proto as tables of their fields, for showing them.
#pragma once

#include <cstdint>
#include <span>

#include "decoder/format.hpp"

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

constexpr FieldRule omitted_fields[] = {{fields::omitted::number, "column", Show::column},
                                        {fields::omitted::sqlstate, "sqlstate", Show::text},
                                        {fields::omitted::reason, "reason", Show::text}};
constexpr MessageRule omitted{"omitted", omitted_fields};
constexpr FieldRule gaps_fields[] = {{fields::gaps::fragmented, "fragmented", Show::columns},
                                     {fields::gaps::omitted, "omitted", Show::message, true, &omitted}};
constexpr MessageRule gaps{"gaps", gaps_fields};
constexpr FieldRule column_fields[] = {{fields::column::number, "number", Show::number},
                                       {fields::column::name, "name", Show::text},
                                       {fields::column::type_oid, "type_oid", Show::number},
                                       {fields::column::type_schema, "type_schema", Show::text},
                                       {fields::column::type_name, "type_name", Show::text},
                                       {fields::column::type_modifier, "type_modifier", Show::signed_number},
                                       {fields::column::encoding, "encoding", Show::choice, false, nullptr, encodings},
                                       {fields::column::in_identity, "in_identity", Show::boolean},
                                       {fields::column::in_primary_key, "in_primary_key", Show::boolean}};
constexpr MessageRule column_rule{"column", column_fields};
constexpr FieldRule truncated_fields[] = {{fields::truncated::relation, "relation", Show::relation},
                                          {fields::truncated::leaf, "leaf", Show::number}};
constexpr MessageRule truncated{"truncated", truncated_fields};

constexpr FieldRule begin_fields[] = {
    {fields::begin::format, "format", Show::number},         {fields::begin::xid, "xid", Show::number},
    {fields::begin::commit_time, "commit_time", Show::time}, {fields::begin::commit_lsn, "commit_lsn", Show::lsn},
    {fields::begin::origin, "origin", Show::text},           {fields::begin::end_lsn, "end_lsn", Show::lsn}};
constexpr FieldRule relation_fields[] = {
    {fields::relation::oid, "oid", Show::number},
    {fields::relation::generation, "generation", Show::number},
    {fields::relation::schema, "schema", Show::text},
    {fields::relation::name, "name", Show::text},
    {fields::relation::replica_identity, "replica_identity", Show::choice, false, nullptr, identities},
    {fields::relation::columns, "columns", Show::message, true, &column_rule}};
constexpr FieldRule insert_fields[] = {{fields::insert::relation, "relation", Show::relation},
                                       {fields::insert::after, "after", Show::row},
                                       {fields::insert::after_gaps, "after_gaps", Show::message, false, &gaps}};
constexpr FieldRule update_fields[] = {
    {fields::update::relation, "relation", Show::relation},
    {fields::update::before_kind, "before_kind", Show::choice, false, nullptr, befores},
    {fields::update::before, "before", Show::row},
    {fields::update::after, "after", Show::row},
    {fields::update::unchanged, "unchanged", Show::columns},
    {fields::update::before_gaps, "before_gaps", Show::message, false, &gaps},
    {fields::update::after_gaps, "after_gaps", Show::message, false, &gaps}};
constexpr FieldRule delete_fields[] = {
    {fields::remove::relation, "relation", Show::relation},
    {fields::remove::before_kind, "before_kind", Show::choice, false, nullptr, befores},
    {fields::remove::before, "before", Show::row},
    {fields::remove::before_gaps, "before_gaps", Show::message, false, &gaps}};
constexpr FieldRule truncate_fields[] = {{fields::truncate::relations, "relations", Show::message, true, &truncated},
                                         {fields::truncate::cascade, "cascade", Show::boolean},
                                         {fields::truncate::restart_identity, "restart_identity", Show::boolean}};
constexpr FieldRule message_fields[] = {{fields::message::transactional, "transactional", Show::boolean},
                                        {fields::message::prefix, "prefix", Show::text},
                                        {fields::message::content, "content", Show::hex},
                                        {fields::message::lsn, "lsn", Show::lsn},
                                        {fields::message::omitted_bytes, "omitted_bytes", Show::number},
                                        {fields::message::prefix_bytes, "prefix_bytes", Show::number},
                                        {fields::message::sqlstate, "sqlstate", Show::text},
                                        {fields::message::reason, "reason", Show::text}};
constexpr FieldRule unselected_fields[] = {{fields::unselected::relation, "relation", Show::relation}};
constexpr FieldRule commit_fields[] = {{fields::commit::end_lsn, "end_lsn", Show::lsn},
                                       {fields::commit::changes, "changes", Show::number},
                                       {fields::commit::crc, "crc", Show::number}};
constexpr FieldRule fragment_fields[] = {
    {fields::fragment::before, "before", Show::boolean}, {fields::fragment::number, "number", Show::number},
    {fields::fragment::offset, "offset", Show::number},  {fields::fragment::total, "total", Show::number},
    {fields::fragment::data, "data", Show::hex},         {fields::fragment::relation, "relation", Show::relation}};

// By RecordKind.
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
