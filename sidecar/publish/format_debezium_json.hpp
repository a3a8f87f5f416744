// "debezium-json": Debezium's envelope as its JSON converter writes it without schemas.
#pragma once

#include <memory>
#include <string>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/json_value.hpp"

namespace anabranch {

struct DebeziumOptions {
  std::string server;    // source.name: the topics' prefix
  std::string database;  // source.db
  TimeMode times = TimeMode::iso;
};

// Values depend on the change alone, never on when it is published: what is published again is the same to the byte.
// docs/formats.md says which type becomes what.
std::unique_ptr<RowFormat> make_debezium_json_format(const DebeziumOptions& options);

}  // namespace anabranch
