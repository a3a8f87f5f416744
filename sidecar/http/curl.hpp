// libcurl's handles with an owner, and what its answers mean; for the other files of this folder.
#pragma once

#include <memory>
#include <string_view>

#include <curl/curl.h>

#include "sidecar/http/tls_files.hpp"

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

// Nobody is asked for a key's password. Returns libcurl's code.
CURLcode set_files(CURL* easy, const TlsFiles& files);

// Whether somebody has to put that right: certificates, files, an address. Anything else may pass. `reason`: what
// libcurl says of it.
bool is_refusal(CURLcode code, std::string_view reason);

}  // namespace anabranch
