// A schema registry that speaks Confluent's HTTP interface (Confluent's own, Apicurio, Karapace, Redpanda's).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sidecar/net/tls_files.hpp"

namespace anabranch {

enum class SchemaKind : uint8_t { avro, protobuf };

class SchemaRegistry {
 public:
  virtual ~SchemaRegistry() = default;

  // The number of the schema under the subject, registered where it is not yet. Throws FormatError where the registry
  // refuses the schema (incompatible with the one before it, malformed), ProducerError(refused) where it refuses us,
  // and ProducerError(passes) where it does not answer.
  virtual int32_t register_schema(const std::string& subject, SchemaKind kind, const std::string& schema) = 0;
};

struct SchemaRegistryOptions {
  std::string url;             // http:// or https://, without user and password
  std::string user, password;  // basic authentication; empty: none
  std::string token;           // bearer; empty: none
  TlsFiles tls;
  std::chrono::milliseconds timeout{10'000};  // of one request
  // Called while a request waits, every second or more often; what it throws ends the wait and is thrown on.
  std::function<void()> while_waiting;
};

// Asks each question once: answers are kept for as long as the object lives. No redirects, no proxies, answers of at
// most 1 MB. For one thread. Throws std::invalid_argument where the address is none.
std::unique_ptr<SchemaRegistry> make_schema_registry(SchemaRegistryOptions options);

}  // namespace anabranch
