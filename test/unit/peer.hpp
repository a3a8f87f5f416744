// A server on loopback that says the same to whoever connects, and then nothing.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>

#include "test/unit/loopback.hpp"

namespace anabranch::test {

class Peer {
 public:
  explicit Peer(std::string words = {}) : words_(std::move(words)), listener_(listen_on_loopback(port_)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Peer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    if (client_ >= 0) close(client_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  int port() const { return port_; }

 private:
  void serve() {
    for (int client = 0; (client = accept(listener_, nullptr, nullptr)) >= 0;) {
      if (client_ >= 0) close(client_);
      client_ = client;
      [[maybe_unused]] const auto sent = send(client, words_.data(), words_.size(), MSG_NOSIGNAL);
    }
  }

  const std::string words_;
  int port_ = 0;
  const int listener_;
  int client_ = -1;  // the last one
  std::thread thread_;
};

}  // namespace anabranch::test
