#include "sidecar/net/stream.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include "sidecar/net/curl.hpp"

namespace anabranch {
namespace {

constexpr std::size_t piece_bytes_max = std::size_t{16} << 10;  // a record of TLS: RFC 8446, 5.1
constexpr int slice_ms = 500;                                   // a bound, should libcurl have no timer

// CURLOPT_CONNECT_ONLY makes the connection of such an url, and sends nothing.
std::string url_of(const StreamOptions& options) {
  const char* const scheme = options.tls ? "https" : "http";
  if (!options.path.empty()) return fmt::format("{}://localhost/", scheme);
  const bool is_v6 = options.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("{}://[{}]:{}/", scheme, options.host, options.port)
               : fmt::format("{}://{}:{}/", scheme, options.host, options.port);
}

void check_multi(CURLMcode code) {
  if (code != CURLM_OK) throw StreamError(false, curl_multi_strerror(code));
}

}  // namespace

struct Stream::Handles {
  std::array<char, CURL_ERROR_SIZE> error{};  // libcurl keeps the address of this
  CurlEasy easy = make_curl_easy();
  CurlMulti multi = make_curl_multi();  // has the connection; destroyed first

  ~Handles() { curl_multi_remove_handle(multi.get(), easy.get()); }
  void prepare(const StreamOptions& options);
  int connect(const Stop& stop);
  template <typename Value>
  void set(CURLoption option, Value value) {
    check(curl_easy_setopt(easy.get(), option, value));
  }
  void check(CURLcode code) const;
};

void Stream::Handles::prepare(const StreamOptions& options) {
  check(set_common(easy.get(), error.data(), options.files));
  set(CURLOPT_URL, url_of(options).c_str());
  if (!options.path.empty()) set(CURLOPT_UNIX_SOCKET_PATH, options.path.c_str());
  set(CURLOPT_CONNECT_ONLY, 1L);
  set(CURLOPT_SSL_ENABLE_ALPN, 0L);  // it would offer HTTP
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  check_multi(curl_multi_add_handle(multi.get(), easy.get()));
}

// The descriptor.
int Stream::Handles::connect(const Stop& stop) {
  for (int left = 0;;) {
    check_multi(curl_multi_perform(multi.get(), &left));
    if (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
      check(message->data.result);
      break;
    }
    curl_waitfd stopping{stop.descriptor(), CURL_WAIT_POLLIN, 0};
    check_multi(curl_multi_poll(multi.get(), &stopping, 1, slice_ms, nullptr));
    if (stop.requested()) throw Interrupted();
  }
  curl_socket_t socket = CURL_SOCKET_BAD;
  check(curl_easy_getinfo(easy.get(), CURLINFO_ACTIVESOCKET, &socket));
  if (socket == CURL_SOCKET_BAD) throw StreamError(false, "it has closed the connection");
  fcntl(socket, F_SETFD, FD_CLOEXEC);
  return socket;
}

void Stream::Handles::check(CURLcode code) const {
  if (code == CURLE_OK) return;
  const std::string reason = reason_of(easy.get(), code, error.data());
  throw StreamError(is_refusal(code, reason), reason);
}

Stream::Stream(const StreamOptions& options, const Stop& stop)
    : tls_(options.tls), handles_(std::make_unique<Handles>()) {
  handles_->prepare(options);
  descriptor_ = handles_->connect(stop);
}

Stream::~Stream() = default;

std::size_t Stream::send(std::string_view bytes) {
  if (tls_) return send_encrypted(bytes);
  const auto count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

std::size_t Stream::send_encrypted(std::string_view bytes) {
  // libcurl keeps the first reason alone, and the one that counts is what receive() meets.
  handles_->set(CURLOPT_ERRORBUFFER, static_cast<char*>(nullptr));
  std::size_t all = 0;
  while (all < bytes.size()) {
    if (piece_.empty()) piece_ = bytes.substr(all, piece_bytes_max);
    std::size_t sent = 0;
    if (curl_easy_send(handles_->easy.get(), piece_.data(), piece_.size(), &sent) != CURLE_OK) break;
    piece_.clear();
    all += sent;
  }
  handles_->set(CURLOPT_ERRORBUFFER, handles_->error.data());
  return all;
}

std::optional<std::size_t> Stream::receive(std::span<char> buffer) {
  if (tls_) return receive_encrypted(buffer);
  const auto count = recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
  throw StreamError(false, std::strerror(errno));
}

std::optional<std::size_t> Stream::receive_encrypted(std::span<char> buffer) {
  std::size_t received = 0;
  const auto code = curl_easy_recv(handles_->easy.get(), buffer.data(), buffer.size(), &received);
  if (code == CURLE_AGAIN) return std::nullopt;
  handles_->check(code);
  return received;
}

}  // namespace anabranch
