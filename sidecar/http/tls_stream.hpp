// TLS over TCP for what is no HTTP: libcurl connects, and sees that who answers is who was meant.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "sidecar/http/curl.hpp"
#include "sidecar/http/tls_files.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

struct TlsOptions {
  std::string host = {};  // name or address, of IPv6 without brackets
  int port = 0;
  TlsFiles files = {};
  std::chrono::milliseconds connect_timeout{10'000};  // the handshake included
};

// what() is the reason in libcurl's words, without the address.
class TlsError : public std::runtime_error {
 public:
  TlsError(bool refused, const std::string& reason) : std::runtime_error(reason), refused_(refused) {}
  // One side does not trust the other, or a file cannot be read: somebody has to put that right.
  bool refused() const { return refused_; }

 private:
  bool refused_;
};

// A connection. Not for two threads. After a TlsError it is of no use any more.
class TlsStream {
 public:
  // Throws TlsError, or Interrupted as soon as `stop` is requested.
  TlsStream(const TlsOptions& options, const Stop& stop);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // To wait on, when there is nothing to do without waiting.
  int descriptor() const { return descriptor_; }
  // Sends as much as goes without waiting, and says how much that was; the rest must come again, first of all.
  std::size_t send(std::string_view bytes);
  // What has come, 0: the other side has ended it; nullopt: nothing has. A record at most, so that of what came with it
  // nothing is left behind while the buffer holds one (16 kB).
  std::optional<std::size_t> receive(std::span<char> buffer);

 private:
  void connect(const Stop& stop);
  void check(CURLcode code) const;

  std::array<char, CURL_ERROR_SIZE> error_{};  // libcurl keeps the address of this
  CurlEasy easy_;
  CurlMulti multi_;  // has the connection; destroyed first
  int descriptor_ = -1;
  // What libcurl could not send at once: it wants the same bytes from the same place again.
  std::string piece_;
};

}  // namespace anabranch
