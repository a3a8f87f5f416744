// A Redis server on loopback that says what a test has it say to its first command.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace anabranch::test {

class RedisStub {
 public:
  explicit RedisStub(std::string answer) : answer_(std::move(answer)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no port to listen on");
    port_ = ntohs(address.sin_port);
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
  const int listener_;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace anabranch::test
