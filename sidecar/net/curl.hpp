// libcurl's handles with an owner, and what its answers mean; for the sources of this folder.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <curl/curl.h>

#include "sidecar/net/tls_files.hpp"

namespace anabranch {

struct FreeCurlEasy {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct FreeCurlMulti {
  void operator()(CURLM* handle) const noexcept { curl_multi_cleanup(handle); }
};
using CurlEasy = std::unique_ptr<CURL, FreeCurlEasy>;
using CurlMulti = std::unique_ptr<CURLM, FreeCurlMulti>;

// Never null. Throw std::runtime_error.
CurlEasy make_curl_easy();
CurlMulti make_curl_multi();

// What every transfer is given: no proxy, no signals, whom to trust. `error` holds CURL_ERROR_SIZE bytes for as long as
// the handle has it. Returns libcurl's code.
CURLcode set_common(CURL* easy, char* error, const TlsFiles& files);

// In words, for a message. `error`: of set_common().
std::string reason_of(CURL* easy, CURLcode code, const char* error);

// Whether somebody has to put that right: certificates, files, an address. Anything else may pass.
bool is_refusal(CURLcode code, std::string_view reason);

}  // namespace anabranch
