#include "sidecar/index/search_engine.hpp"

#include <charconv>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "sidecar/index/engine_access.hpp"
#include "sidecar/index/index.hpp"

namespace anabranch {
namespace {

using nlohmann::json;

// A page of documents, or the refusals of a bulk request.
constexpr std::size_t answer_bytes_max = 64 << 20;
constexpr const char* json_header = "Content-Type: application/json";
constexpr const char* lines_header = "Content-Type: application/x-ndjson";

struct EngineVersion {
  int major = 0, minor = 0;
  auto operator<=>(const EngineVersion&) const = default;
};
// Aliases that bulk requests insist on, that are hidden, and versions compared as we need them, are in all of these.
constexpr EngineVersion opensearch_oldest{2, 0};
constexpr EngineVersion elasticsearch_oldest{8, 0};

const char* name_of(IndexSettings::Kind kind) {
  return kind == IndexSettings::Kind::opensearch ? "opensearch" : "elasticsearch";
}

EngineVersion version_in(const std::string& text) {
  EngineVersion version;
  const char* const end = text.data() + text.size();
  const auto [dot, problem] = std::from_chars(text.data(), end, version.major);
  if (problem == std::errc() && dot != end) std::from_chars(dot + 1, end, version.minor);
  return version;
}

}  // namespace

SearchEngine::SearchEngine(IndexSettings settings, const Stop& stop) : settings_(std::move(settings)), stop_(stop) {
  if (settings_.urls.empty())
    throw IndexError(IndexError::Kind::refused, "there is no address of the search engine", "set url");
  for (std::string& url : settings_.urls) try {
      url = http_base(std::move(url), "a search engine", "http://search:9200");
    } catch (const std::invalid_argument& error) {
      throw IndexError(IndexError::Kind::refused, fmt::format("an address {}", error.what()), "correct url");
    }
}

void SearchEngine::connect() {
  HttpOptions options{.user = settings_.user,
                      .tls = settings_.tls,
                      .timeout = settings_.request_timeout,
                      .answer_bytes_max = answer_bytes_max,
                      .stop = &stop_};
  options.password = read_secret(settings_.password_file, "password_file");
  check_secret(settings_.tls.key, "key_file");
  client_ = std::make_unique<HttpClient>(std::move(options));
  check_kind(ask("GET", "/"));
}

void SearchEngine::check_kind(const json& root) {
  const auto& version = member(root, "version");
  const auto& number = member(version, "number");
  if (!number.is_string())
    throw IndexError(IndexError::Kind::refused, fmt::format("what answers at {} is no search engine", url()),
                     "correct url");
  const auto& distribution = member(version, "distribution");
  const auto found = distribution.is_string() && distribution.get<std::string>() == "opensearch"
                         ? IndexSettings::Kind::opensearch
                         : IndexSettings::Kind::elasticsearch;
  if (found != settings_.kind)
    throw IndexError(IndexError::Kind::refused,
                     fmt::format("the search engine at {} is of the kind \"{}\", not \"{}\"", url(), name_of(found),
                                 name_of(settings_.kind)),
                     fmt::format("set kind = \"{}\"", name_of(found)));
  const auto oldest = found == IndexSettings::Kind::opensearch ? opensearch_oldest : elasticsearch_oldest;
  version_ = one_line(number.get<std::string>());
  if (version_in(version_) < oldest)
    throw IndexError(IndexError::Kind::refused,
                     fmt::format("the search engine at {} is {} {}, which is too old", url(), name_of(found), version_),
                     fmt::format("use {} {}.{} or later", name_of(found), oldest.major, oldest.minor));
}

json SearchEngine::ask(std::string method, const std::string& path, std::string body) {
  auto found = find(std::move(method), path, std::move(body));
  if (found) return std::move(*found);
  throw IndexError(IndexError::Kind::unreachable,
                   fmt::format("the search engine at {} knows no {}", url(), path.substr(0, path.find('?'))), "");
}

std::optional<json> SearchEngine::find(std::string method, const std::string& path, std::string body) {
  const auto answer = request(std::move(method), path, std::move(body));
  if (answer.status == 404) return std::nullopt;
  if (answer.status / 100 != 2) fail(answer);
  auto parsed = json::parse(answer.body, nullptr, false);
  if (!parsed.is_discarded()) return parsed;
  throw IndexError(IndexError::Kind::refused,
                   fmt::format("what answers at {} is no search engine: \"{}\"", url(), reason_in(answer.body).text),
                   "correct url");
}

HttpAnswer SearchEngine::request(std::string method, const std::string& path, std::string body) {
  HttpRequest request{.method = std::move(method), .body = std::move(body), .headers = {json_header}};
  for (std::size_t tried = 1;; ++tried) {
    request.url = url() + path;
    try {
      return client_->perform(request);
    } catch (const HttpError& error) {
      if (!error.nothing_was_done() || tried == nodes()) fail(error);
      next_node();
    }
  }
}

HttpRequest SearchEngine::bulk_request(const std::string& path, std::string body) const {
  return {.method = "POST", .url = url() + path, .body = std::move(body), .headers = {lines_header}};
}

void SearchEngine::next_node() {
  node_ = (node_ + 1) % nodes();
}

void SearchEngine::fail(const HttpError& error) {
  const std::string& url = this->url();
  next_node();
  switch (error.kind()) {
    case HttpError::Kind::refused:
      throw NotTrusted(fmt::format("the search engine at {}", url), error.what());
    case HttpError::Kind::too_long:
      throw IndexError(IndexError::Kind::refused,
                       fmt::format("what the search engine at {} answers is too long: {}", url, error.what()),
                       "correct url");
    case HttpError::Kind::unreachable:
    case HttpError::Kind::no_answer:
      break;
  }
  throw IndexError(IndexError::Kind::unreachable,
                   fmt::format("the search engine at {} does not answer: {}", url, error.what()), "");
}

void SearchEngine::fail(const HttpAnswer& answer) const {
  const auto reason = reason_in(answer.body);
  if (reason.type == "cluster_block_exception" || reason.type == "index_closed_exception") fail_blocked(reason.text);
  if (answer.status == 401)
    throw IndexError(IndexError::Kind::refused,
                     fmt::format("the search engine at {} does not know us: {}", url(), reason.text),
                     "set user and password_file to an account of the engine's");
  if (answer.status == 403) fail_denied(reason.text);
  const auto said = fmt::format("the search engine at {} answers {}: {}", url(), answer.status, reason.text);
  if (answer.status == 429 || answer.status >= 500) throw IndexError(IndexError::Kind::busy, said, "");
  if (answer.status == 404) throw IndexError(IndexError::Kind::unreachable, said, "");
  throw IndexError(IndexError::Kind::refused, said, "correct what it names");
}

void SearchEngine::fail_blocked(const std::string& reason) const {
  throw IndexError(IndexError::Kind::busy,
                   fmt::format("the search engine at {} takes no writes for now: {}", url(), reason),
                   "free disk space on the engine's nodes, or open the index and remove its blocks if somebody has set "
                   "them: PUT /INDEX/_settings {\"index.blocks.write\": null}");
}

void SearchEngine::fail_denied(const std::string& reason) const {
  throw IndexError(IndexError::Kind::refused, fmt::format("the search engine at {} forbids it: {}", url(), reason),
                   "grant the account of user all rights on the index's name, with anything behind it");
}

}  // namespace anabranch
