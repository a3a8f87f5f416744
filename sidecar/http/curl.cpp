#include "sidecar/http/curl.hpp"

#include <mutex>
#include <stdexcept>
#include <string>

namespace anabranch {
namespace {

void initialise() {
  static std::once_flag done;
  std::call_once(done, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

template <typename Handle>
Handle checked(Handle handle) {
  if (!handle) throw std::runtime_error("libcurl cannot be initialised");
  return handle;
}

}  // namespace

CurlEasy make_curl_easy() {
  initialise();
  return checked(CurlEasy(curl_easy_init()));
}

CurlMulti make_curl_multi() {
  initialise();
  return checked(CurlMulti(curl_multi_init()));
}

CURLcode set_files(CURL* easy, const TlsFiles& files) {
  // Without a password OpenSSL asks for one at the terminal.
  CURLcode code = curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
  const auto set = [&](CURLoption option, const std::string& file) {
    if (code == CURLE_OK && !file.empty()) code = curl_easy_setopt(easy, option, file.c_str());
  };
  set(CURLOPT_CAINFO, files.ca);
  set(CURLOPT_SSLCERT, files.certificate);
  set(CURLOPT_SSLKEY, files.key);
  return code;
}

bool is_refusal(CURLcode code, std::string_view reason) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return true;
    default:
      // By an alert the other side says that it does not trust us, as late as behind the handshake: RFC 8446, 6.2.
      return reason.find(" alert ") != std::string_view::npos;
  }
}

}  // namespace anabranch
