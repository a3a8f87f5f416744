// HTTP for services that speak JSON: libcurl with an owner for every handle, several requests at once, and no wait that
// cannot be ended.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/net/tls_files.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Every member has an initializer, so that callers may name those they want.
struct HttpOptions {
  std::string user = {}, password = {};  // basic authentication; no user: none
  std::string token = {};                // bearer; empty: none
  TlsFiles tls = {};
  std::chrono::milliseconds timeout{10'000};  // of one request, its answer included
  std::size_t answer_bytes_max = 1 << 20;
  // Ends every wait with Interrupted; may be null. Must outlive the client.
  const Stop* stop = nullptr;
  // Called while a request waits, every second or more often; what it throws ends the wait and is thrown on.
  std::function<void()> while_waiting = {};
};

struct HttpRequest {
  std::string method = "GET";
  std::string url = {};  // without user and password
  std::string body = {};
  std::vector<std::string> headers = {};  // "Name: value"
};

struct HttpAnswer {
  long status = 0;
  std::string body;
};

// There is no answer. what() is the reason, which holds no password.
class HttpError : public std::runtime_error {
 public:
  enum class Kind {
    unreachable,  // no connection came about: nothing was sent
    no_answer,    // it broke, or took too long: what was sent may have been done
    refused,      // certificates, files or an address that somebody has to put right
    too_long      // the answer is
  };
  HttpError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }
  // So that another server may be asked at once.
  bool nothing_was_done() const { return kind_ == Kind::unreachable || kind_ == Kind::refused; }

 private:
  Kind kind_;
};

// How a request ended. The request is given back, for another attempt.
struct HttpOutcome {
  std::size_t tag;
  HttpRequest request;
  HttpAnswer answer;               // meaningless with an error
  std::optional<HttpError> error;  // nullopt: there is an answer, whatever its status
};

// Keeps connections alive between requests. No redirects, no proxies. For one thread.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // One request and its answer; throws HttpError. None may be in flight.
  HttpAnswer perform(HttpRequest request);

  // Sends a request without waiting; `tag` comes back with its outcome.
  void start(std::size_t tag, HttpRequest request);
  std::size_t in_flight() const;
  // The next request that has ended; nullopt after `time`, or when none is in flight.
  std::optional<HttpOutcome> wait(std::chrono::milliseconds time);
  // Gives up all requests in flight. What was sent may have been done.
  void cancel() noexcept;

 private:
  struct Handles;
  std::unique_ptr<Handles> handles_;
};

// The address of a service without slashes at its end. Throws std::invalid_argument, to be read after a setting's name,
// where it is none of `service` ("a schema registry"; `example` is one), or has a user or a password in it.
std::string http_base(std::string url, std::string_view service, std::string_view example);

// `text` as one part of a path.
std::string url_escaped(std::string_view text);

}  // namespace anabranch
