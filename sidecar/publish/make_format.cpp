#include "sidecar/publish/make_format.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "sidecar/publish/format_avro.hpp"
#include "sidecar/publish/format_debezium_json.hpp"
#include "sidecar/publish/format_protobuf_registered.hpp"

namespace anabranch {
namespace {

// nullptr where none is configured.
std::shared_ptr<SchemaRegistry> open_registry(const SchemaRegistryOptions& options) {
  if (options.url.empty()) return nullptr;
  try {
    return make_schema_registry(options);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("kafka.schema_registry {}", error.what()));
  }
}

}  // namespace

bool feeds_copies(std::string_view format) {
  return format == "protobuf";
}

std::unique_ptr<RowFormat> make_format(const FormatSettings& settings) {
  auto registry = open_registry(settings.registry);
  if (settings.format == "protobuf") {
    auto protobuf = make_protobuf_format();
    if (!registry) return protobuf;
    return make_registered_protobuf_format(std::move(protobuf), std::move(registry));
  }
  if (settings.format == "debezium-json")
    return make_debezium_json_format(
        {.server = settings.server, .database = settings.database, .times = settings.times});
  if (settings.format == "avro") {
    if (!registry)
      throw std::invalid_argument(
          "kafka.format \"avro\" needs a schema registry: set kafka.schema_registry, as in \"http://registry:8081\"");
    return make_avro_format({.server = settings.server, .database = settings.database}, std::move(registry));
  }
  throw std::invalid_argument("kafka.format is none of \"protobuf\", \"avro\" and \"debezium-json\"");
}

}  // namespace anabranch
