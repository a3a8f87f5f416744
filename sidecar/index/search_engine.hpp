// A search engine as one partner: its nodes, who we are to them, and what their refusals mean.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "sidecar/net/http_client.hpp"
#include "sidecar/index/engine_reason.hpp"
#include "sidecar/index/settings.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Where a call throws IndexError: unreachable when no node answers, busy when the engine asks for time or its disk is
// full, refused for what somebody has to put right. The next call then begins with the next node.
class SearchEngine {
 public:
  // Throws IndexError (refused) for addresses that are none. `stop` must outlive the object.
  SearchEngine(IndexSettings settings, const Stop& stop);

  // Reads the password, which may have been changed, and makes sure that the engine is of the kind that the settings
  // say, and new enough. To be called before any other.
  void connect();
  // What connect() has found: "2.19.1".
  const std::string& version() const { return version_; }

  // The answer to a request, which must be JSON.
  nlohmann::json ask(std::string method, const std::string& path, std::string body = "");
  // The same; nullopt for 404.
  std::optional<nlohmann::json> find(std::string method, const std::string& path, std::string body = "");
  // The answer whatever its status.
  HttpAnswer request(std::string method, const std::string& path, std::string body = "");

  // For requests in flight: none may be when another function is called.
  HttpClient& client() { return *client_; }
  HttpRequest bulk_request(const std::string& path, std::string body) const;
  std::size_t node() const { return node_; }
  std::size_t nodes() const { return settings_.urls.size(); }
  void next_node();
  // What an answer other than 2xx means.
  [[noreturn]] void fail(const HttpAnswer& answer) const;
  // What no answer of the current node means; the next one has its turn.
  [[noreturn]] void fail(const HttpError& error);
  // The index takes no writes for now.
  [[noreturn]] void fail_blocked(const std::string& reason) const;
  [[noreturn]] void fail_denied(const std::string& reason) const;

  const IndexSettings& settings() const { return settings_; }
  const Stop& stop() const { return stop_; }

 private:
  const std::string& url() const { return settings_.urls[node_]; }
  void check_kind(const nlohmann::json& root);

  IndexSettings settings_;
  const Stop& stop_;
  std::size_t node_ = 0;
  std::string version_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace anabranch
