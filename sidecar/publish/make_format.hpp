// The format that the settings ask for.
#pragma once

#include <memory>
#include <string>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/json_value.hpp"
#include "sidecar/publish/schema_registry.hpp"

namespace anabranch {

struct FormatSettings {
  std::string format = "protobuf";  // protobuf, avro, debezium-json
  TimeMode times = TimeMode::iso;   // debezium-json
  std::string server;               // the topics' prefix
  std::string database;             // that is published
  SchemaRegistryOptions registry;   // url empty: none
};

// Whether we read topics in that format ourselves: to feed copies, and to show them.
bool feeds_copies(std::string_view format);

// Throws std::invalid_argument, saying what is wrong with which setting and what to write: an unknown format, avro
// without a registry, an address that is none.
std::unique_ptr<RowFormat> make_format(const FormatSettings& settings);

}  // namespace anabranch
