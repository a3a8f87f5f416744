#include "sidecar/net/curl.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <stdexcept>

namespace anabranch {
namespace {

// The alerts by which the other side says that it does not trust us, in OpenSSL's words: RFC 8446, 6.2. It may send
// them behind the handshake.
constexpr std::array<std::string_view, 14> alerts_of_mistrust = {
    "alert handshake failure",       "alert no certificate",       "alert bad certificate",
    "alert unsupported certificate", "alert certificate revoked",  "alert certificate expired",
    "alert certificate unknown",     "alert certificate required", "alert unknown ca",
    "alert access denied",           "alert decrypt error",        "alert protocol version",
    "alert insufficient security",   "unrecognized name"};

// In libcurl's words, the certificate being the authorities'.
constexpr std::string_view bad_authorities = "error setting certificate file: ";

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

CURLcode set_common(CURL* easy, char* error, const TlsFiles& files) {
  CURLcode code = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value);
  };
  set(CURLOPT_ERRORBUFFER, error);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // or a name server that does not answer would be waited for
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  if (!files.ca.empty()) {
    set(CURLOPT_CAINFO, files.ca.c_str());
    // Or the system's would be trusted besides. NULL is none to libcurl 7.88, and the system's again from 8.21 on.
    set(CURLOPT_CAPATH, "/dev/null");
  }
  set(CURLOPT_CA_CACHE_TIMEOUT, 0L);  // the file may be another by now
  if (!files.certificate.empty()) set(CURLOPT_SSLCERT, files.certificate.c_str());
  if (!files.key.empty()) set(CURLOPT_SSLKEY, files.key.c_str());
  set(CURLOPT_KEYPASSWD, "");  // without one OpenSSL asks for it at the terminal
  return code;
}

std::string reason_of(CURL* easy, CURLcode code, const char* error) {
  long number = 0;
  if (code == CURLE_COULDNT_CONNECT) curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
  if (number != 0) return std::strerror(static_cast<int>(number));
  std::string reason = error[0] != '\0' ? error : curl_easy_strerror(code);
  while (reason.ends_with(' ')) reason.pop_back();
  if (reason.starts_with(bad_authorities))
    reason.replace(0, bad_authorities.size(), "no authorities can be read from ");
  return reason;
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
      return std::any_of(alerts_of_mistrust.begin(), alerts_of_mistrust.end(),
                         [&](std::string_view alert) { return reason.find(alert) != std::string_view::npos; });
  }
}

}  // namespace anabranch
