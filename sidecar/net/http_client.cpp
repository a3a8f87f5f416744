#include "sidecar/net/http_client.hpp"

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "sidecar/net/curl.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds connect_timeout_max = 10s;
constexpr milliseconds slice = 500ms;  // between two calls of while_waiting

struct FreeList {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeList>;

// A request on its way. libcurl keeps its address.
struct Transfer {
  std::size_t tag = 0;
  std::size_t answer_bytes_max = 0;
  HttpRequest request;
  HttpAnswer answer;
  bool too_long = false;
  char error[CURL_ERROR_SIZE] = "";
  Headers headers;
  CurlEasy easy;
};

// Called by C: nothing may be thrown through it.
size_t on_data(char* data, size_t, size_t size, void* argument) {
  auto* transfer = static_cast<Transfer*>(argument);
  if (transfer->answer.body.size() + size > transfer->answer_bytes_max) {
    transfer->too_long = true;
    return 0;
  }
  transfer->answer.body.append(data, size);
  return size;
}

void check(CURLcode code) {
  if (code != CURLE_OK) throw HttpError(HttpError::Kind::refused, curl_easy_strerror(code));
}

template <typename Value>
void set(const Transfer& transfer, CURLoption option, Value value) {
  check(curl_easy_setopt(transfer.easy.get(), option, value));
}

void append(Headers& headers, const std::string& line) {
  if (curl_slist* list = curl_slist_append(headers.get(), line.c_str())) {
    if (!headers) headers.reset(list);
  } else {
    throw std::bad_alloc();
  }
}

HttpError error_of(const Transfer& transfer, CURLcode code, milliseconds timeout) {
  if (transfer.too_long)
    return {HttpError::Kind::too_long, fmt::format("the answer is longer than {} bytes", transfer.answer_bytes_max)};
  const std::string reason = reason_of(transfer.easy.get(), code, transfer.error);
  if (is_refusal(code, reason)) return {HttpError::Kind::refused, reason};
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return {HttpError::Kind::unreachable, reason};
    case CURLE_OPERATION_TIMEDOUT: {
      curl_off_t connected = 0;
      curl_easy_getinfo(transfer.easy.get(), CURLINFO_PRETRANSFER_TIME_T, &connected);
      if (connected == 0) return {HttpError::Kind::unreachable, reason};
      return {HttpError::Kind::no_answer, fmt::format("no answer within {} ms", timeout.count())};
    }
    default:
      return {HttpError::Kind::no_answer, reason};
  }
}

}  // namespace

struct HttpClient::Handles {
  HttpOptions options;
  std::vector<CurlEasy> idle;
  std::vector<std::unique_ptr<Transfer>> active;
  CurlMulti multi;  // destroyed first: it holds the connections that the others use

  void prepare(Transfer& transfer);
  std::optional<HttpOutcome> finished();
  std::unique_ptr<Transfer> remove(CURL* easy) noexcept;
};

void HttpClient::Handles::prepare(Transfer& transfer) {
  curl_easy_reset(transfer.easy.get());
  for (const auto& header : transfer.request.headers) append(transfer.headers, header);
  append(transfer.headers, "Expect:");  // else a large body waits for leave to be sent
  if (!options.token.empty()) append(transfer.headers, "Authorization: Bearer " + options.token);
  check(set_common(transfer.easy.get(), transfer.error, options.tls));
  set(transfer, CURLOPT_PRIVATE, &transfer);
  set(transfer, CURLOPT_URL, transfer.request.url.c_str());
  set(transfer, CURLOPT_PROTOCOLS_STR, "http,https");
  set(transfer, CURLOPT_FOLLOWLOCATION, 0L);
  set(transfer, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout.count()));
  set(transfer, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(options.timeout, connect_timeout_max).count()));
  set(transfer, CURLOPT_USERAGENT, "anabranch/" ANABRANCH_VERSION);
  if (transfer.request.method != "GET") {
    set(transfer, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.request.body.size()));
    set(transfer, CURLOPT_POSTFIELDS, transfer.request.body.c_str());
  }
  set(transfer, CURLOPT_CUSTOMREQUEST, transfer.request.method.c_str());
  set(transfer, CURLOPT_WRITEFUNCTION, on_data);
  set(transfer, CURLOPT_WRITEDATA, &transfer);
  if (!options.user.empty()) {
    set(transfer, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    set(transfer, CURLOPT_USERNAME, options.user.c_str());
    set(transfer, CURLOPT_PASSWORD, options.password.c_str());
  }
  set(transfer, CURLOPT_HTTPHEADER, transfer.headers.get());
}

std::unique_ptr<Transfer> HttpClient::Handles::remove(CURL* easy) noexcept {
  const auto found =
      std::find_if(active.begin(), active.end(), [&](const auto& transfer) { return transfer->easy.get() == easy; });
  auto transfer = std::move(*found);
  active.erase(found);
  curl_multi_remove_handle(multi.get(), easy);
  return transfer;
}

std::optional<HttpOutcome> HttpClient::Handles::finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;  // the message is gone with the handle
    auto transfer = remove(message->easy_handle);
    HttpOutcome outcome{transfer->tag, std::move(transfer->request), std::move(transfer->answer), std::nullopt};
    if (code != CURLE_OK)
      outcome.error = error_of(*transfer, code, options.timeout);
    else
      curl_easy_getinfo(transfer->easy.get(), CURLINFO_RESPONSE_CODE, &outcome.answer.status);
    idle.push_back(std::move(transfer->easy));
    return outcome;
  }
  return std::nullopt;
}

HttpClient::HttpClient(HttpOptions options) : handles_(std::make_unique<Handles>()) {
  handles_->options = std::move(options);
  handles_->multi = make_curl_multi();
}

HttpClient::~HttpClient() {
  cancel();
}

HttpAnswer HttpClient::perform(HttpRequest request) {
  start(0, std::move(request));
  try {
    for (;;) {
      auto outcome = wait(slice);
      if (!outcome) continue;
      if (outcome->error) throw *outcome->error;
      return std::move(outcome->answer);
    }
  } catch (...) {
    cancel();
    throw;
  }
}

void HttpClient::start(std::size_t tag, HttpRequest request) {
  auto transfer = std::make_unique<Transfer>();
  transfer->tag = tag;
  transfer->answer_bytes_max = handles_->options.answer_bytes_max;
  transfer->request = std::move(request);
  if (handles_->idle.empty()) {
    transfer->easy = make_curl_easy();
  } else {
    transfer->easy = std::move(handles_->idle.back());
    handles_->idle.pop_back();
  }
  handles_->prepare(*transfer);
  if (const auto code = curl_multi_add_handle(handles_->multi.get(), transfer->easy.get()); code != CURLM_OK)
    throw std::runtime_error(fmt::format("libcurl takes no request: {}", curl_multi_strerror(code)));
  handles_->active.push_back(std::move(transfer));
}

std::size_t HttpClient::in_flight() const {
  return handles_->active.size();
}

std::optional<HttpOutcome> HttpClient::wait(milliseconds time) {
  const HttpOptions& options = handles_->options;
  const auto deadline = Clock::now() + time;
  for (;;) {
    int running = 0;
    curl_multi_perform(handles_->multi.get(), &running);
    if (auto outcome = handles_->finished()) return outcome;
    if (options.stop != nullptr && options.stop->requested()) throw Interrupted();
    if (options.while_waiting) options.while_waiting();
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (left <= 0ms || in_flight() == 0) return std::nullopt;
    curl_waitfd stopping{};
    if (options.stop != nullptr) stopping = {options.stop->descriptor(), CURL_WAIT_POLLIN, 0};
    curl_multi_poll(handles_->multi.get(), &stopping, options.stop != nullptr ? 1 : 0,
                    static_cast<int>(std::min(left, slice).count()), nullptr);
  }
}

void HttpClient::cancel() noexcept {
  while (!handles_->active.empty()) handles_->remove(handles_->active.back()->easy.get());
}

std::string http_base(std::string url, std::string_view service, std::string_view example) {
  while (url.ends_with('/')) url.pop_back();
  const auto scheme = url.find("://");
  const auto is_http = url.starts_with("http://") || url.starts_with("https://");
  if (!is_http || url.size() == scheme + 3)
    throw std::invalid_argument(fmt::format("is no address of {}; write it as in \"{}\"", service, example));
  if (url.find('@', scheme) != std::string::npos)
    throw std::invalid_argument("has a user or a password in it; they belong in settings of their own");
  return url;
}

std::string url_escaped(std::string_view text) {
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string escaped;
  for (const char c : text) {
    if (plain.find(c) != std::string_view::npos)
      escaped += c;
    else
      fmt::format_to(std::back_inserter(escaped), "%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

}  // namespace anabranch
