#include "sidecar/topic/topic_names.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace anabranch {
namespace {

TEST(TopicNames, AreTheTablesNames) {
  const TopicNames names("shop");
  EXPECT_EQ(names.table("public", "orders"), "shop.public.orders");
  EXPECT_EQ(names.table("public", "Käse-2 \"x\""), "shop.public.K_xC3_xA4se-2_x20_x22x_x22");
  EXPECT_EQ(names.message("out box"), "shop.message.out_x20box");
  EXPECT_TRUE(names.message("out box").starts_with(names.message_prefix()));
  EXPECT_EQ(names.transaction(), "shop.transaction");
  EXPECT_TRUE(names.is_own("shop.progress"));
  EXPECT_FALSE(names.is_own("shop.public.progress"));
}

TEST(TopicNames, AreCutWithAHash) {
  const TopicNames names(std::string(100, 'p'));
  const std::string schema(63, ' '), one(63, 'a'), other = std::string(62, 'a') + "b";
  EXPECT_EQ(names.table(schema, one).size(), topic_name_bytes_max);
  EXPECT_NE(names.table(schema, one), names.table(schema, other));
  EXPECT_THROW(TopicNames(""), std::invalid_argument);
  EXPECT_THROW(TopicNames("a b"), std::invalid_argument);
  EXPECT_THROW(TopicNames(std::string(101, 'p')), std::invalid_argument);
}

}  // namespace
}  // namespace anabranch
