// A connection to what speaks no HTTP, plain or over TLS: libcurl makes it, so that looking a name up, connecting and
// the handshake have one bound and can be ended, and sees that who answers is who was meant.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "sidecar/net/tls_files.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

struct StreamOptions {
  std::string host = {};  // name or address, of IPv6 without brackets
  int port = 0;
  std::string path = {};  // of a Unix socket, instead of both
  bool tls = false;
  TlsFiles files = {};
  std::chrono::milliseconds connect_timeout{10'000};
};

// what() is the reason.
class StreamError : public std::runtime_error {
 public:
  StreamError(bool refused, const std::string& reason) : std::runtime_error(reason), refused_(refused) {}
  // One side does not trust the other, or a file of TLS is unfit: somebody has to put that right.
  bool refused() const { return refused_; }

 private:
  bool refused_;
};

// Not for two threads. After a StreamError it is of no use any more.
class Stream {
 public:
  // Throws StreamError, or Interrupted as soon as `stop` is requested.
  Stream(const StreamOptions& options, const Stop& stop);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // To wait on, when there is nothing to do without waiting.
  int descriptor() const { return descriptor_; }
  // Sends as much as goes without waiting, and says how much that was; the rest must come again, first of all. 0 also
  // where the connection is broken: what was said before can be received still, and then why.
  std::size_t send(std::string_view bytes);
  // What has come, 0: the other side has ended it; nullopt: nothing has. Of TLS a record at most, so that nothing of
  // what has come is left behind while the buffer holds one (16 kB).
  std::optional<std::size_t> receive(std::span<char> buffer);

 private:
  struct Handles;

  std::size_t send_encrypted(std::string_view bytes);
  std::optional<std::size_t> receive_encrypted(std::span<char> buffer);

  const bool tls_;
  std::unique_ptr<Handles> handles_;
  int descriptor_ = -1;
  // What libcurl could not send at once: it wants the same bytes from the same place again.
  std::string piece_;
};

}  // namespace anabranch
