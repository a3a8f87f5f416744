// A Redis server on loopback that says what a test has it say to its first command.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>

#include "test/unit/loopback.hpp"

namespace anabranch::test {

class RedisStub {
 public:
  explicit RedisStub(std::string answer) : answer_(std::move(answer)), listener_(listen_on_loopback(port_)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~RedisStub() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  RedisStub(const RedisStub&) = delete;
  RedisStub& operator=(const RedisStub&) = delete;

  // To HELLO, of a primary.
  static std::string hello(const std::string& version) {
    return "*4\r\n$7\r\nversion\r\n$" + std::to_string(version.size()) + "\r\n" + version +
           "\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";
  }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

 private:
  // Answers once, then waits for the other end to close.
  void serve() {
    for (int peer = 0; (peer = accept(listener_, nullptr, nullptr)) >= 0; close(peer)) {
      char buffer[4096];
      if (recv(peer, buffer, sizeof(buffer), 0) > 0) send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      while (recv(peer, buffer, sizeof(buffer), 0) > 0) {
      }
    }
  }

  const std::string answer_;
  int port_ = 0;
  const int listener_;
  std::thread thread_;
};

}  // namespace anabranch::test
