#include "sidecar/net/stream.hpp"

#include <array>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/peer.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using test::Peer;
using ::testing::HasSubstr;

StreamOptions options_for(const Peer& peer, bool tls) {
  return {.host = "127.0.0.1", .port = peer.port(), .tls = tls, .connect_timeout = milliseconds(30'000)};
}

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
  Stream stream(options_for(peer, false), stop);
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
  EXPECT_THAT(failure(options_for(Peer("-ERR no TLS here\r\n"), true)), HasSubstr("wrong version number"));
}

TEST(Stream, IsRefusedWithoutItsFiles) {
  const Peer peer;
  auto options = options_for(peer, true);
  options.files.ca = "/nowhere/ca.pem";
  EXPECT_EQ(failure(options), "refused: no authorities can be read from /nowhere/ca.pem");
  options.files = {.certificate = "/nowhere/crt.pem", .key = "/nowhere/key.pem"};
  EXPECT_THAT(failure(options), HasSubstr("refused: could not load PEM client certificate"));
}

TEST(Stream, WaitsForAHandshakeWithinItsBound) {
  const Peer peer;
  auto options = options_for(peer, true);
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
  EXPECT_THROW(Stream(options_for(peer, true), stop), Interrupted);
  stopper.join();
}

}  // namespace
}  // namespace anabranch
