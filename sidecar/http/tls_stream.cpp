#include "sidecar/http/tls_stream.hpp"

#include <fcntl.h>

#include <fmt/format.h>

namespace anabranch {
namespace {

constexpr std::size_t piece_bytes_max = std::size_t{16} << 10;  // a record of TLS: RFC 8446, 5.1
constexpr int slice_ms = 500;                                   // libcurl's own timers are looked at as often

std::string https_url(const std::string& host, int port) {
  return host.find(':') == std::string::npos ? fmt::format("https://{}:{}/", host, port)
                                             : fmt::format("https://[{}]:{}/", host, port);
}

}  // namespace

TlsStream::TlsStream(const TlsOptions& options, const Stop& stop) : easy_(make_curl_easy()), multi_(make_curl_multi()) {
  const auto set = [&](CURLoption option, auto value) { check(curl_easy_setopt(easy_.get(), option, value)); };
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_URL, https_url(options.host, options.port).c_str());
  set(CURLOPT_PROTOCOLS_STR, "https");
  set(CURLOPT_CONNECT_ONLY, 1L);
  set(CURLOPT_SSL_ENABLE_ALPN, 0L);  // it would offer HTTP
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  check(set_files(easy_.get(), options.files));
  if (const auto code = curl_multi_add_handle(multi_.get(), easy_.get()); code != CURLM_OK)
    throw TlsError(false, curl_multi_strerror(code));
  try {
    connect(stop);
  } catch (...) {
    curl_multi_remove_handle(multi_.get(), easy_.get());
    throw;
  }
}

TlsStream::~TlsStream() {
  curl_multi_remove_handle(multi_.get(), easy_.get());
}

void TlsStream::connect(const Stop& stop) {
  for (int left = 0;;) {
    curl_multi_perform(multi_.get(), &left);
    if (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      check(message->data.result);
      break;
    }
    curl_waitfd stopping{stop.descriptor(), CURL_WAIT_POLLIN, 0};
    curl_multi_poll(multi_.get(), &stopping, 1, slice_ms, nullptr);
    if (stop.requested()) throw Interrupted();
  }
  curl_socket_t socket = CURL_SOCKET_BAD;
  check(curl_easy_getinfo(easy_.get(), CURLINFO_ACTIVESOCKET, &socket));
  if (socket == CURL_SOCKET_BAD) throw TlsError(false, "it has closed the connection");
  descriptor_ = socket;
  fcntl(descriptor_, F_SETFD, FD_CLOEXEC);
}

std::size_t TlsStream::send(std::string_view bytes) {
  std::size_t all = 0;
  while (all < bytes.size()) {
    if (piece_.empty()) piece_ = bytes.substr(all, piece_bytes_max);
    std::size_t sent = 0;
    const auto code = curl_easy_send(easy_.get(), piece_.data(), piece_.size(), &sent);
    if (code == CURLE_AGAIN) break;
    check(code);
    piece_.clear();
    all += sent;
  }
  return all;
}

std::optional<std::size_t> TlsStream::receive(std::span<char> buffer) {
  std::size_t received = 0;
  const auto code = curl_easy_recv(easy_.get(), buffer.data(), buffer.size(), &received);
  if (code == CURLE_AGAIN) return std::nullopt;
  check(code);
  return received;
}

void TlsStream::check(CURLcode code) const {
  if (code == CURLE_OK) return;
  const std::string reason = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
  throw TlsError(is_refusal(code, reason), reason);
}

}  // namespace anabranch
