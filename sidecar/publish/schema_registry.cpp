#include "sidecar/publish/schema_registry.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/producer.hpp"

namespace anabranch {
namespace {

constexpr size_t answer_bytes_max = 1 << 20;
constexpr size_t shown_bytes_max = 600;  // of an answer, in a message

struct FreeEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;
using Headers = std::unique_ptr<curl_slist, FreeList>;

void initialise_curl() {
  static std::once_flag done;
  std::call_once(done, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

struct Request {
  const std::function<void()>* while_waiting = nullptr;
  std::string answer;
  bool too_long = false;
  std::exception_ptr interrupted;
};

// Both are called by C: nothing may be thrown through it.
size_t on_data(char* data, size_t, size_t size, void* argument) {
  auto* request = static_cast<Request*>(argument);
  if (request->answer.size() + size > answer_bytes_max) {
    request->too_long = true;
    return 0;
  }
  request->answer.append(data, size);
  return size;
}

int on_progress(void* argument, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto* request = static_cast<Request*>(argument);
  if (!*request->while_waiting) return 0;
  try {
    (*request->while_waiting)();
    return 0;
  } catch (...) {
    request->interrupted = std::current_exception();
    return 1;
  }
}

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
  explicit HttpSchemaRegistry(SchemaRegistryOptions options) : options_(std::move(options)) {
    initialise_curl();
    while (options_.url.ends_with('/')) options_.url.pop_back();
    const auto scheme = options_.url.find("://");
    const auto is_http = options_.url.starts_with("http://") || options_.url.starts_with("https://");
    if (!is_http || options_.url.size() == scheme + 3)
      throw std::invalid_argument("is no address of a schema registry; write it as in \"http://registry:8081\"");
    if (options_.url.find('@', scheme) != std::string::npos)
      throw std::invalid_argument("has a user or a password in it; they belong in settings of their own");
    handle_.reset(curl_easy_init());
    if (!handle_) throw std::runtime_error("libcurl cannot be initialised");
  }

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
  struct Answer {
    long status = 0;
    std::string body;
  };

  template <typename Value>
  void set(CURLoption option, Value value) {
    if (const auto code = curl_easy_setopt(handle_.get(), option, value); code != CURLE_OK)
      throw ProducerError(ProducerError::Kind::refused,
                          fmt::format("the schema registry's settings do not work: {}", curl_easy_strerror(code)));
  }

  Answer post(const std::string& subject, const std::string& body) {
    Request request{.while_waiting = &options_.while_waiting, .answer = {}, .too_long = false, .interrupted = {}};
    char error[CURL_ERROR_SIZE] = "";
    curl_easy_reset(handle_.get());
    const std::unique_ptr<char, void (*)(void*)> escaped(
        curl_easy_escape(handle_.get(), subject.c_str(), static_cast<int>(subject.size())), curl_free);
    const auto url = fmt::format("{}/subjects/{}/versions", options_.url, escaped.get());
    Headers headers(curl_slist_append(nullptr, "Content-Type: application/vnd.schemaregistry.v1+json"));
    curl_slist_append(headers.get(), "Accept: application/vnd.schemaregistry.v1+json, application/json");
    curl_slist_append(headers.get(), "Expect:");
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_PROXY, "");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
    set(CURLOPT_ERRORBUFFER, error);
    set(CURLOPT_USERAGENT, "anabranch/" ANABRANCH_VERSION);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    set(CURLOPT_POSTFIELDS, body.c_str());
    set(CURLOPT_WRITEFUNCTION, on_data);
    set(CURLOPT_WRITEDATA, &request);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, &request);
    set_credentials(headers);
    set(CURLOPT_HTTPHEADER, headers.get());
    const auto code = curl_easy_perform(handle_.get());
    if (request.interrupted) std::rethrow_exception(request.interrupted);
    if (code != CURLE_OK) fail(code, request.too_long, error[0] != '\0' ? error : curl_easy_strerror(code));
    Answer answer;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &answer.status);
    answer.body = std::move(request.answer);
    return answer;
  }

  void set_credentials(Headers& headers) {
    if (!options_.user.empty()) {
      set(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
      set(CURLOPT_USERNAME, options_.user.c_str());
      set(CURLOPT_PASSWORD, options_.password.c_str());
    }
    if (!options_.token.empty()) curl_slist_append(headers.get(), ("Authorization: Bearer " + options_.token).c_str());
    if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
    if (!options_.certificate_file.empty()) set(CURLOPT_SSLCERT, options_.certificate_file.c_str());
    if (!options_.key_file.empty()) set(CURLOPT_SSLKEY, options_.key_file.c_str());
  }

  // What somebody has to put right does not pass; an unreachable host may come back.
  [[noreturn]] void fail(CURLcode code, bool too_long, const std::string& reason) {
    if (too_long)
      throw ProducerError(
          ProducerError::Kind::refused,
          fmt::format("what answers at {} is no schema registry: the answer is longer than 1 MB", options_.url));
    switch (code) {
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CERTPROBLEM:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_CIPHER:
      case CURLE_URL_MALFORMAT:
      case CURLE_UNSUPPORTED_PROTOCOL:
        throw ProducerError(ProducerError::Kind::refused,
                            fmt::format("the schema registry at {} is not trusted, or does not trust us: {}; correct "
                                        "kafka.schema_registry and its files",
                                        options_.url, reason));
      default:
        throw ProducerError(ProducerError::Kind::passes,
                            fmt::format("the schema registry at {} does not answer: {}", options_.url, reason));
    }
  }

  int32_t read_number(const std::string& subject, const Answer& answer) {
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
                          fmt::format("the schema registry at {} answers {}: {}", options_.url, answer.status, said));
    if (answer.status != 200)
      throw ProducerError(ProducerError::Kind::refused,
                          fmt::format("the schema registry at {} answers {} to a schema of subject \"{}\": {}; correct "
                                      "kafka.schema_registry and its credentials",
                                      options_.url, answer.status, subject, said));
    const auto parsed = nlohmann::json::parse(answer.body, nullptr, false);
    if (!parsed.is_object() || !parsed.contains("id") || !parsed["id"].is_number_unsigned() ||
        parsed["id"].get<uint64_t>() > INT32_MAX)
      throw ProducerError(
          ProducerError::Kind::refused,
          fmt::format("what answers at {} is no schema registry: \"{}\" has no schema's number", options_.url, said));
    return parsed["id"].get<int32_t>();
  }

  SchemaRegistryOptions options_;
  Easy handle_;
  std::unordered_map<std::string, std::unordered_map<std::string, int32_t>> known_;  // subject, schema
};

}  // namespace

std::unique_ptr<SchemaRegistry> make_schema_registry(SchemaRegistryOptions options) {
  return std::make_unique<HttpSchemaRegistry>(std::move(options));
}

}  // namespace anabranch
