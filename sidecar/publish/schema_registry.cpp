#include "sidecar/publish/schema_registry.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sidecar/net/http_client.hpp"
#include "sidecar/publish/format.hpp"
#include "sidecar/publish/producer.hpp"

namespace anabranch {
namespace {

constexpr size_t answer_bytes_max = 1 << 20;
constexpr size_t shown_bytes_max = 600;  // of an answer, in a message

// The registry's own words, in one line.
std::string shown(const std::string& answer) {
  const auto parsed = nlohmann::json::parse(answer, nullptr, false);
  std::string text = parsed.is_object() && parsed.contains("message") && parsed["message"].is_string()
                         ? parsed["message"].get<std::string>()
                         : answer;
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  if (text.size() > shown_bytes_max) text = text.substr(0, shown_bytes_max) + "...";
  return text;
}

class HttpSchemaRegistry : public SchemaRegistry {
 public:
  explicit HttpSchemaRegistry(SchemaRegistryOptions options)
      : url_(http_base(std::move(options.url), "a schema registry", "http://registry:8081")),
        client_({.user = std::move(options.user),
                 .password = std::move(options.password),
                 .token = std::move(options.token),
                 .tls = std::move(options.tls),
                 .timeout = options.timeout,
                 .answer_bytes_max = answer_bytes_max,
                 .while_waiting = std::move(options.while_waiting)}) {}

  int32_t register_schema(const std::string& subject, SchemaKind kind, const std::string& schema) override {
    auto& known = known_[subject];
    if (const auto found = known.find(schema); found != known.end()) return found->second;
    nlohmann::json body = {{"schema", schema}};
    if (kind == SchemaKind::protobuf) body["schemaType"] = "PROTOBUF";
    const auto number = read_number(subject, post(subject, body.dump()));
    known.emplace(schema, number);
    return number;
  }

 private:
  HttpAnswer post(const std::string& subject, std::string body) {
    try {
      return client_.perform({.method = "POST",
                              .url = fmt::format("{}/subjects/{}/versions", url_, url_escaped(subject)),
                              .body = std::move(body),
                              .headers = {"Content-Type: application/vnd.schemaregistry.v1+json",
                                          "Accept: application/vnd.schemaregistry.v1+json, application/json"}});
    } catch (const HttpError& error) {
      fail(error);
    }
  }

  // What somebody has to put right does not pass; an unreachable host may come back.
  [[noreturn]] void fail(const HttpError& error) {
    switch (error.kind()) {
      case HttpError::Kind::too_long:
        throw ProducerError(
            ProducerError::Kind::refused,
            fmt::format("what answers at {} is no schema registry: the answer is longer than 1 MB", url_));
      case HttpError::Kind::refused:
        throw ProducerError(ProducerError::Kind::refused,
                            fmt::format("the schema registry at {} is not trusted, or does not trust us: {}; correct "
                                        "kafka.schema_registry and its files",
                                        url_, error.what()));
      case HttpError::Kind::unreachable:
      case HttpError::Kind::no_answer:
        break;
    }
    throw ProducerError(ProducerError::Kind::passes,
                        fmt::format("the schema registry at {} does not answer: {}", url_, error.what()));
  }

  int32_t read_number(const std::string& subject, const HttpAnswer& answer) {
    const auto said = shown(answer.body);
    if (answer.status == 409)
      throw FormatError(fmt::format(
          "the schema registry refuses the schema of subject \"{}\" as incompatible with the one before it: "
          "{}; allow it (PUT /config/{} {{\"compatibility\": \"NONE\"}}) when its readers can take it, or "
          "publish under another kafka.prefix",
          subject, said, subject));
    if (answer.status == 422)
      throw FormatError(
          fmt::format("the schema registry does not take the schema of subject \"{}\": {}", subject, said));
    if (answer.status == 429 || answer.status == 408 || answer.status >= 500)
      throw ProducerError(ProducerError::Kind::passes,
                          fmt::format("the schema registry at {} answers {}: {}", url_, answer.status, said));
    if (answer.status != 200)
      throw ProducerError(ProducerError::Kind::refused,
                          fmt::format("the schema registry at {} answers {} to a schema of subject \"{}\": {}; correct "
                                      "kafka.schema_registry and its credentials",
                                      url_, answer.status, subject, said));
    const auto parsed = nlohmann::json::parse(answer.body, nullptr, false);
    if (!parsed.is_object() || !parsed.contains("id") || !parsed["id"].is_number_unsigned() ||
        parsed["id"].get<uint64_t>() > INT32_MAX)
      throw ProducerError(
          ProducerError::Kind::refused,
          fmt::format("what answers at {} is no schema registry: \"{}\" has no schema's number", url_, said));
    return parsed["id"].get<int32_t>();
  }

  const std::string url_;
  HttpClient client_;
  std::unordered_map<std::string, std::unordered_map<std::string, int32_t>> known_;  // subject, schema
};

}  // namespace

std::unique_ptr<SchemaRegistry> make_schema_registry(SchemaRegistryOptions options) {
  return std::make_unique<HttpSchemaRegistry>(std::move(options));
}

}  // namespace anabranch
