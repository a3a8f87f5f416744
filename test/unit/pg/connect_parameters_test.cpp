#include "sidecar/pg/connect_parameters.hpp"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch::connect_parameters {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ConnectOptions with(const std::string& conninfo) {
  ConnectOptions options;
  options.conninfo = conninfo;
  options.application_name = "anabranch applier";
  return options;
}

std::string value_of(const Parameters& parameters, const std::string& keyword) {
  const auto keywords = parameters.keywords();
  const auto values = parameters.values();
  for (size_t i = 0; keywords[i] != nullptr; ++i)
    if (keyword == keywords[i]) return values[i];
  return "(none)";
}

TEST(ConnectParameters, TakesOverWhatIsGivenAndAddsOurOwn) {
  const Parameters parameters = parse(with("postgresql://me:s3cret@db.example:5433/shop?keepalives_idle=7"));
  EXPECT_EQ(value_of(parameters, "host"), "db.example");
  EXPECT_EQ(value_of(parameters, "port"), "5433");
  EXPECT_EQ(value_of(parameters, "dbname"), "shop");
  EXPECT_EQ(value_of(parameters, "password"), "s3cret");
  EXPECT_EQ(value_of(parameters, "keepalives_idle"), "7");
  EXPECT_EQ(value_of(parameters, "keepalives_count"), "3");
  EXPECT_EQ(value_of(parameters, "application_name"), "anabranch applier");
  EXPECT_EQ(value_of(parameters, "client_encoding"), "UTF8");
  EXPECT_EQ(value_of(parameters, "replication"), "(none)");
  EXPECT_EQ(parameters.keywords().back(), nullptr);
  EXPECT_EQ(parameters.values().size(), parameters.keywords().size());
}

TEST(ConnectParameters, DescribesWithoutSecrets) {
  EXPECT_EQ(parse(with("host=a password=s3cret user=me dbname='my db'")).description(), "host=a dbname=my db user=me");
  EXPECT_EQ(parse(with("")).description(), "libpq's defaults");
}

TEST(ConnectParameters, DoesNotQuoteAStringItCannotParse) {
  for (const char* conninfo : {"host=a s3cret", "password='s3cret", "postgresql://me:s3cret@[::1", "s3cret=1"}) {
    try {
      parse(with(conninfo));
      ADD_FAILURE() << conninfo;
    } catch (const PgError& error) {
      EXPECT_EQ(error.sqlstate(), "08001");
      EXPECT_THAT(error.what(), Not(HasSubstr("s3cret")));
    }
  }
}

TEST(ConnectParameters, FindsTheSqlstateInAVerboseMessage) {
  const Parameters parameters = parse(with("host=a password=s3cret"));
  const PgError refused = parameters.failure(
      "connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  28P01: password authentication failed for "
      "user "
      "\"me\"\nDETAIL:  s3cret\nLOCATION:  auth_failed, auth.c:332\n");
  EXPECT_EQ(refused.sqlstate(), "28P01");
  EXPECT_TRUE(refused.connection_lost());
  EXPECT_EQ(
      refused.message(),
      "connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  password authentication failed for user "
      "\"me\"; DETAIL:  ***");
  const PgError unreachable =
      parameters.failure("connection to server at \"a\" failed: Connection refused\n\tIs it?\n");
  EXPECT_EQ(unreachable.sqlstate(), "08001");
  EXPECT_EQ(parameters.failure("").message(), "no connection to the server");
}

TEST(ConnectParameters, QuotesLiterals) {
  EXPECT_EQ(quote_literal("plain"), "'plain'");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\'b"), " E'a\\\\''b'");
}

TEST(ConnectParameters, QuotesIdentifiers) {
  EXPECT_EQ(Connection::quote_identifier("a\"b"), "\"a\"\"b\"");
}

}  // namespace
}  // namespace anabranch::connect_parameters
