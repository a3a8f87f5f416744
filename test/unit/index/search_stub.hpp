// A search engine that says what a test has it say.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sidecar/index/settings.hpp"
#include "test/unit/net/http_stub.hpp"

namespace anabranch::test {

inline const std::string opensearch_root =
    HttpStub::answer(200, R"({"version":{"distribution":"opensearch","number":"2.19.1"}})");

inline IndexSettings settings_for(const HttpStub& stub) {
  IndexSettings settings;
  settings.urls = {stub.url()};
  settings.in_flight_max = 1;
  settings.request_timeout = std::chrono::milliseconds(30'000);
  return settings;
}

// To a bulk request: the status of each item, with a reason where it is none of success.
inline std::string bulk_answer(const std::vector<int>& statuses) {
  std::string body = R"({"errors":true,"items":[)";
  for (const int status : statuses) {
    if (body.back() != '[') body += ',';
    body += R"({"index":{"status":)" + std::to_string(status);
    if (status >= 300) body += R"(,"error":{"type":"stub_exception","reason":"says )" + std::to_string(status) + "\"}";
    body += "}}";
  }
  return HttpStub::answer(200, body + "]}");
}

}  // namespace anabranch::test
