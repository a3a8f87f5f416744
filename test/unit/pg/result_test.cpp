#include "sidecar/pg/result.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>

namespace anabranch {
namespace {

// A result of one row, made without a server. nullptr: NULL.
Result result_of(std::vector<std::pair<const char*, const char*>> columns) {
  PGresult* result = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
  std::vector<PGresAttDesc> attributes;
  for (const auto& [name, value] : columns) attributes.push_back({const_cast<char*>(name), 0, 0, 0, 25, -1, -1});
  PQsetResultAttrs(result, static_cast<int>(attributes.size()), attributes.data());
  for (int i = 0; i < static_cast<int>(columns.size()); ++i) {
    const char* value = columns[i].second;
    PQsetvalue(result, 0, i, const_cast<char*>(value), value == nullptr ? -1 : static_cast<int>(strlen(value)));
  }
  return Result(result);
}

std::string sqlstate_of(auto body) {
  try {
    body();
  } catch (const PgError& error) {
    return error.sqlstate();
  }
  return "none";
}

TEST(Result, ReadsTypedValues) {
  const Result result = result_of({{"n", "-9223372036854775808"},
                                   {"b", "t"},
                                   {"l", "1/A"},
                                   {"a", "{1,-2,30}"},
                                   {"e", "{}"},
                                   {"x", nullptr},
                                   {"Quoted \"name\"", "y"}});
  EXPECT_EQ(result.rows(), 1u);
  EXPECT_EQ(result.integer(0, result.column("n")), INT64_MIN);
  EXPECT_TRUE(result.boolean(0, 1));
  EXPECT_EQ(result.lsn(0, 2), Lsn(0x10000000A));
  EXPECT_EQ(result.integers(0, 3), (std::vector<int64_t>{1, -2, 30}));
  EXPECT_TRUE(result.integers(0, 4).empty());
  EXPECT_TRUE(result.null(0, 5));
  EXPECT_EQ(result.optional_text(0, 5), std::nullopt);
  EXPECT_EQ(result.optional_lsn(0, 5), std::nullopt);
  EXPECT_EQ(result.optional_text(0, 1), "t");
  EXPECT_EQ(result.text(0, result.column("Quoted \"name\"")), "y");
}

TEST(Result, RefusesWhatIsNoSuchValue) {
  const Result result = result_of({{"x", nullptr},
                                   {"t", "12a"},
                                   {"a", "{1,NULL}"},
                                   {"b", "{1"},
                                   {"c", "{1,}"},
                                   {"d", "{,1}"},
                                   {"e", "1,2"},
                                   {"f", "{1}}"}});
  EXPECT_EQ(sqlstate_of([&] { result.integer(0, 0); }), "22023");
  EXPECT_EQ(sqlstate_of([&] { result.integer(0, 1); }), "22023");
  EXPECT_EQ(sqlstate_of([&] { result.boolean(0, 1); }), "22023");
  EXPECT_EQ(sqlstate_of([&] { result.lsn(0, 1); }), "22023");
  for (size_t column = 2; column < 8; ++column)
    EXPECT_EQ(sqlstate_of([&] { result.integers(0, column); }), "22023") << column;
  EXPECT_EQ(sqlstate_of([&] { result.column("X"); }), "42703");
  EXPECT_EQ(sqlstate_of([&] { result.text(1, 0); }), "22023");
  EXPECT_EQ(sqlstate_of([&] { result.text(0, 8); }), "22023");
}

TEST(PgError, TellsAllItKnows) {
  const PgError error("23505", "duplicate key", "Key (a)=(1) exists.", "Do not.");
  EXPECT_STREQ(error.what(), "duplicate key; detail: Key (a)=(1) exists.; hint: Do not. (SQLSTATE 23505)");
  EXPECT_FALSE(error.connection_lost());
}

}  // namespace
}  // namespace anabranch
