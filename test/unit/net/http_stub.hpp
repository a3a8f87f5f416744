// A server on loopback that answers each request with the next of the answers it was given.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "test/unit/loopback.hpp"

namespace anabranch::test {

class HttpStub {
 public:
  // Whole answers, as made by answer(). Requests beyond them wait in vain.
  explicit HttpStub(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listener_ = listen_on_loopback(port_);
    thread_ = std::thread([this] { serve(); });
  }

  ~HttpStub() {
    shutdown(listener_, SHUT_RDWR);
    close(listener_);
    thread_.join();
    for (const int held : held_) close(held);
  }

  static std::string answer(int status, const std::string& body, const std::string& headers = "") {
    return "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n" + headers + "\r\n" + body;
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // Head and body of each request so far.
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (size_t i = 0;; ++i) {
      const int peer = accept(listener_, nullptr, nullptr);
      if (peer < 0) return;
      const auto request = read_request(peer);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      if (i >= answers_.size()) {
        held_.push_back(peer);  // no answer, and no end either
        continue;
      }
      [[maybe_unused]] const auto sent = send(peer, answers_[i].data(), answers_[i].size(), MSG_NOSIGNAL);
      close(peer);
    }
  }

  static std::string read_request(int peer) {
    std::string request;
    char buffer[4096];
    size_t wanted = std::string::npos;
    while (request.size() < wanted) {
      const auto count = recv(peer, buffer, sizeof(buffer), 0);
      if (count <= 0) break;
      request.append(buffer, static_cast<size_t>(count));
      const auto head = request.find("\r\n\r\n");
      if (head == std::string::npos) continue;
      const auto length = request.find("Content-Length: ");
      wanted = head + 4 + (length < head ? std::stoul(request.substr(length + 16)) : 0);
    }
    return request;
  }

  std::vector<std::string> answers_, requests_;
  std::vector<int> held_;
  std::mutex mutex_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace anabranch::test
