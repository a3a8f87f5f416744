#include "sidecar/index/search_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

IndexDefinition named(const std::string& name, nlohmann::json options = nlohmann::json::object()) {
  IndexDefinition definition;
  definition.name = name;
  definition.options = std::move(options);
  return definition;
}

std::string refusal_of(const IndexDefinition& definition) {
  try {
    reader_alias(definition);
    return "";
  } catch (const IndexError& error) {
    EXPECT_EQ(error.kind(), IndexError::Kind::refused);
    EXPECT_THAT(error.remedy(), testing::HasSubstr("index"));
    return error.what();
  }
}

TEST(SearchNames, TheReadersNameIsTheCopysOrTheOptions) {
  EXPECT_EQ(reader_alias(named("products")), "products");
  EXPECT_EQ(reader_alias(named("Products", {{"index", "shop-products"}})), "shop-products");
  EXPECT_EQ(reader_alias(named("\xc3\xa4pfel_2.0")), "\xc3\xa4pfel_2.0");
}

TEST(SearchNames, WhatEnginesDoNotTakeIsRefused) {
  for (const char* name : {"",   "Products", "-a",  "_a", "+a", ".a", ".",   "..",  "a b", "a/b", "a\\b",
                           "a*", "a?",       "a\"", "a<", "a>", "a|", "a,b", "a#b", "a:b", "a\nb"})
    EXPECT_NE(refusal_of(named(name)), "") << name;
  EXPECT_THAT(refusal_of(named("Products")),
              testing::HasSubstr("\"Products\" as an index's name: it has capital letters"));
  EXPECT_NE(refusal_of(named("a", {{"index", 5}})), "");
  const std::string longest(229, 'a');
  EXPECT_EQ(refusal_of(named(longest)), "");
  EXPECT_NE(refusal_of(named(longest + "a")), "");
  EXPECT_EQ(writer_alias(generation_name(longest, INT64_MAX)).size(), 255U);
}

TEST(SearchNames, AGenerationIsReadBack) {
  EXPECT_EQ(generation_name("products", 1), "products-000001");
  EXPECT_EQ(generation_name("products", 12'345'678), "products-12345678");
  for (const int64_t generation : {int64_t{1}, int64_t{999'999}, int64_t{1'000'000}, INT64_MAX})
    EXPECT_EQ(generation_of(generation_name("a-000001", generation), "a-000001"), generation);
  for (const char* name :
       {"products", "products-", "products-1", "products-00000a", "products-000001-000001", "products-000001-write",
        "products_000001", "product-000001", "products-99999999999999999999"})
    EXPECT_EQ(generation_of(name, "products"), std::nullopt) << name;
}

}  // namespace
}  // namespace anabranch
