#include "sidecar/net/stream.hpp"

#include <array>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "test/unit/loopback.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

// Listens, and says what it is told to whoever connects, until the test ends.
class Peer {
 public:
  explicit Peer(std::string words = {}) : words_(std::move(words)), listener_(test::listen_on_loopback(port_)) {
    thread_ = std::thread([this] {
      for (int client = 0; (client = accept(listener_, nullptr, nullptr)) >= 0;) {
        if (client_ >= 0) close(client_);
        client_ = client;
        [[maybe_unused]] const auto sent = ::send(client, words_.data(), words_.size(), MSG_NOSIGNAL);
      }
    });
  }
  ~Peer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    if (client_ >= 0) close(client_);
  }

  StreamOptions options(bool tls) const {
    return {.host = "127.0.0.1", .port = port_, .tls = tls, .connect_timeout = milliseconds(30'000)};
  }

 private:
  const std::string words_;
  int port_ = 0;
  const int listener_;
  int client_ = -1;
  std::thread thread_;
};

// "refused: WHAT" or "WHAT".
std::string failure(const StreamOptions& options) {
  const Stop stop;
  try {
    Stream(options, stop);
  } catch (const StreamError& error) {
    return std::string(error.refused() ? "refused: " : "") + error.what();
  }
  return "nothing was thrown";
}

TEST(Stream, GivesWhatHasComeAndNothingElse) {
  const Peer peer("hello");
  const Stop stop;
  Stream stream(peer.options(false), stop);
  EXPECT_EQ(stream.send("abc"), 3U);
  std::string all;
  std::array<char, 2> buffer;
  while (all.size() < 5)
    if (const auto count = stream.receive(buffer)) all.append(buffer.data(), *count);
  EXPECT_EQ(all, "hello");
  EXPECT_EQ(stream.receive(buffer), std::nullopt);
}

TEST(Stream, TellsWhyThereIsNone) {
  EXPECT_EQ(failure({.host = "127.0.0.1", .port = 1}), "Connection refused");
  EXPECT_EQ(failure({.path = "/nowhere/socket"}), "No such file or directory");
  EXPECT_EQ(failure({.host = "127.0.0.1", .port = 1, .tls = true}), "Connection refused");
}

TEST(Stream, IsNotRefusedByWhatSpeaksNoTls) {
  EXPECT_THAT(failure(Peer("-ERR no TLS here\r\n").options(true)), HasSubstr("wrong version number"));
}

TEST(Stream, IsRefusedWithoutItsFiles) {
  const Peer peer;
  auto options = peer.options(true);
  options.files.ca = "/nowhere/ca.pem";
  EXPECT_EQ(failure(options), "refused: no authorities can be read from /nowhere/ca.pem");
  options.files = {.certificate = "/nowhere/crt.pem", .key = "/nowhere/key.pem"};
  EXPECT_THAT(failure(options), HasSubstr("refused: could not load PEM client certificate"));
}

TEST(Stream, WaitsForAHandshakeWithinItsBound) {
  const Peer peer;
  auto options = peer.options(true);
  options.connect_timeout = milliseconds(50);
  EXPECT_THAT(failure(options), HasSubstr("timeout"));
}

TEST(Stream, AStopEndsTheWaitForAHandshake) {
  const Peer peer;
  Stop stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(50));
    stop.request();
  });
  EXPECT_THROW(Stream(peer.options(true), stop), Interrupted);
  stopper.join();
}

}  // namespace
}  // namespace anabranch
