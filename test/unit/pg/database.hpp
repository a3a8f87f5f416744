// Tests that need a server. ANABRANCH_TEST_CONNINFO names one they may do anything to, as a superuser, with
// wal_level=logical and both libraries installed; without it they are skipped. Their suites' names begin with
// "Database".
#pragma once

#include <atomic>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "sidecar/pg/connection.hpp"

namespace anabranch::test {

class DatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* conninfo = std::getenv("ANABRANCH_TEST_CONNINFO");
    if (conninfo == nullptr) GTEST_SKIP() << "ANABRANCH_TEST_CONNINFO is not set";
    conninfo_ = conninfo;
  }
  ConnectOptions options() const {
    ConnectOptions options;
    options.conninfo = conninfo_;
    return options;
  }
  // A name that no other run uses.
  static std::string unique(const char* stem) {
    static std::atomic<int> number{0};
    return fmt::format("{}_{}_{}", stem, getpid(), ++number);
  }

  std::string conninfo_;
};

}  // namespace anabranch::test
