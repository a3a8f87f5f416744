// "avro": Debezium's envelope in Avro, with a schema registry.
#pragma once

#include <memory>
#include <string>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/schema_registry.hpp"

namespace anabranch {

struct AvroOptions {
  std::string server;    // source.name: the topics' prefix
  std::string database;  // source.db
};

// Subjects are <topic>-key and <topic>-value. Values depend on the change and the schemas' numbers alone.
// docs/formats.md says which type becomes what.
std::unique_ptr<RowFormat> make_avro_format(const AvroOptions& options, std::shared_ptr<SchemaRegistry> registry);

}  // namespace anabranch
