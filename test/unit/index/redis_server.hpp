// Tests that need a Redis server. ANABRANCH_TEST_REDIS holds the address of one they may do anything to,
// "127.0.0.1:PORT"; without it they are skipped. One at a time uses it: their suites' names begin with "DatabaseRedis",
// which CMakeLists.txt knows.
#pragma once

#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "sidecar/index/redis_connection.hpp"

namespace anabranch::test {

class RedisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* address = std::getenv("ANABRANCH_TEST_REDIS");
    if (address == nullptr) GTEST_SKIP() << "ANABRANCH_TEST_REDIS is not set";
    url_ = std::string("redis://") + address;
    other_ = connect(never_);
    ask({"CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction"});
    ask({"FLUSHALL"});
  }

  std::unique_ptr<RedisConnection> connect() const { return connect(stop_); }
  // Another client of the same server.
  RedisReply ask(std::initializer_list<std::string_view> command) { return other_->ask(RedisArguments(command)); }
  std::string text(std::initializer_list<std::string_view> command) { return std::string(text_of(*ask(command))); }
  long long number(std::initializer_list<std::string_view> command) { return ask(command)->integer; }
  std::vector<std::string> list(std::initializer_list<std::string_view> command) {
    const auto reply = ask(command);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < reply->elements; ++i) texts.emplace_back(text_of(*reply->element[i]));
    return texts;
  }

  Stop stop_;
  std::string url_;

 private:
  std::unique_ptr<RedisConnection> connect(const Stop& stop) const {
    RedisSessionOptions options;
    options.address = parse_redis_url(url_);
    return std::make_unique<RedisConnection>(options, stop);
  }

  const Stop never_;
  std::unique_ptr<RedisConnection> other_;
};

}  // namespace anabranch::test
