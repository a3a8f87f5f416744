// "protobuf" with a schema registry: the same bytes, in Confluent's frame.
#pragma once

#include <memory>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/schema_registry.hpp"

namespace anabranch {

// Registers each table's .proto under <topic>-value (the record is its message Change) and <topic>-key, and puts the
// frame before the keys and values of `protobuf`. The files import nothing, so they have no references.
std::unique_ptr<RowFormat> make_registered_protobuf_format(std::unique_ptr<RowFormat> protobuf,
                                                           std::shared_ptr<SchemaRegistry> registry);

}  // namespace anabranch
