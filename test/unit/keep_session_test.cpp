#include "sidecar/keep_session.hpp"

#include <gtest/gtest.h>

#include "sidecar/log/change_log.hpp"
#include "sidecar/pg/connection.hpp"
#include "sidecar/run.hpp"

namespace anabranch {
namespace {

LogError damaged() {
  return {LogError::Kind::damaged, "damaged stream: a row breaks off"};
}
PgError refused(const std::string& sqlstate) {
  return {sqlstate, "refused"};
}

// What the run ended with; "" where a session returned.
std::string kind_of_end(const Stop& stop, const SessionKeeper& keeper) {
  try {
    keep_session(stop, keeper);
  } catch (const RunError& error) {
    switch (error.kind()) {
      case RunError::Kind::configuration:
        return "configuration";
      case RunError::Kind::log_lost:
        return "log_lost";
      case RunError::Kind::fenced:
        return "fenced";
    }
  }
  return "";
}

TEST(KeepSession, EndsWithASessionThatReturns) {
  const Stop stop;
  int sessions = 0;
  EXPECT_EQ(kind_of_end(stop, {[&](Backoff&) { ++sessions; }, {}}), "");
  EXPECT_EQ(sessions, 1);
}

TEST(KeepSession, FollowsWhatPassesByAnotherSession) {
  const Stop stop;
  int sessions = 0;
  const auto session = [&](Backoff&) {
    switch (++sessions) {
      case 1:
        throw refused("57P03");  // the server is starting
      case 2:
        throw refused("55006");  // the slot is in use
      case 3:
        throw LogRestart();
      default:
        return;
    }
  };
  EXPECT_EQ(kind_of_end(stop, {session, {}}), "");
  EXPECT_EQ(sessions, 4);
}

TEST(KeepSession, EndsWithWhatDoesNotPass) {
  const Stop stop;
  EXPECT_EQ(kind_of_end(stop, {[](Backoff&) { throw refused("28P01"); }, {}}), "configuration");
  EXPECT_EQ(kind_of_end(stop, {[](Backoff&) { throw refused("AN001"); }, {}}), "fenced");
  EXPECT_EQ(kind_of_end(stop, {[](Backoff&) { throw LogError(LogError::Kind::unsupported, "format 9"); }, {}}),
            "configuration");
}

TEST(KeepSession, TellsOfALostLogBeforeItEnds) {
  const Stop stop;
  std::string told;
  const SessionKeeper keeper{[](Backoff&) { throw LogError(LogError::Kind::gap, "from 0/1 to 0/2"); },
                             [&](const std::string& reason) { told = reason; }};
  EXPECT_EQ(kind_of_end(stop, keeper), "log_lost");
  EXPECT_EQ(told, "from 0/1 to 0/2");
}

TEST(KeepSession, EndsWithALogThatIsDamagedEachTime) {
  const Stop stop;
  int sessions = 0;
  const auto session = [&](Backoff&) {
    // What fails for other reasons in between is no success.
    if (++sessions == 2) throw refused("57P03");
    throw damaged();
  };
  EXPECT_EQ(kind_of_end(stop, {session, {}}), "log_lost");
  EXPECT_EQ(sessions, 4);
}

TEST(KeepSession, CountsDamageAnewAfterSuccess) {
  const Stop stop;
  int sessions = 0;
  const auto session = [&](Backoff& backoff) {
    if (++sessions == 9) return;
    if (sessions % 2 == 0) backoff.succeeded();
    throw damaged();
  };
  EXPECT_EQ(kind_of_end(stop, {session, {}}), "");
  EXPECT_EQ(sessions, 9);
}

TEST(KeepSession, BeginsNoSessionAfterAStop) {
  Stop stop;
  int sessions = 0;
  const auto session = [&](Backoff&) {
    ++sessions;
    stop.request();
    throw refused("57P03");
  };
  EXPECT_EQ(kind_of_end(stop, {session, {}}), "");
  EXPECT_EQ(sessions, 1);
}

}  // namespace
}  // namespace anabranch
