#include "sidecar/cli/names.hpp"

#include <gtest/gtest.h>
#include <set>
#include <stdexcept>

namespace anabranch {
namespace {

TEST(SlotName, PlainNamesStayAsTheyAre) {
  EXPECT_EQ(slot_name_for("shop"), "anabranch_shop");
  EXPECT_EQ(slot_name_for("shop_2"), "anabranch_shop_2");
}

TEST(SlotName, OthersAreMadeFitAndKeptApart) {
  // These names stand in servers: the expectations must not change.
  EXPECT_EQ(slot_name_for("Shop"), "anabranch_shop_28742cc9");
  std::set<std::string> names;
  const std::string longest(63, 'x');
  for (const std::string& database :
       {std::string("shop"), std::string("Shop"), std::string("SHOP"), std::string("sh-op"), std::string("sh op"),
        std::string("sh\nop"), std::string("'; drop table x; --"), std::string("\xf0\x9f\x98\x80"),
        std::string("%s$(x)"), std::string("\xff\xfe"), longest, longest.substr(1), longest.substr(20) + "y"}) {
    const auto slot = slot_name_for(database);
    EXPECT_TRUE(is_slot_name(slot)) << slot;
    EXPECT_TRUE(names.insert(slot).second) << slot;
  }
}

TEST(SlotName, LeavesRoomForFillSlots) {
  EXPECT_TRUE(is_slot_name(std::string(slot_name_bytes_max, 'a')));
  EXPECT_FALSE(is_slot_name(std::string(slot_name_bytes_max + 1, 'a')));
  EXPECT_LE(slot_name_bytes_max + std::string("_fill_2147483647").size(), 63u);
  EXPECT_NE(slot_name_for("x_fill_1"), slot_name_for("x") + "_fill_1");
  EXPECT_TRUE(is_slot_name(slot_name_for("x_fill_1")));
  EXPECT_TRUE(is_slot_name(slot_name_for("x_fill_")));
  EXPECT_FALSE(is_slot_name("mine_fill_12"));
  for (const char* bad : {"", "A", "a-b", "a b", "a\"", "\xc3\xa4"}) EXPECT_FALSE(is_slot_name(bad)) << bad;
}

TEST(Quoting, MarksAreDoubled) {
  EXPECT_EQ(quote_identifier("a"), "\"a\"");
  EXPECT_EQ(quote_identifier("a\"b;--"), "\"a\"\"b;--\"");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\'b"), "E'a\\\\''b'");
  EXPECT_THROW(quote_identifier(std::string_view("a\0b", 3)), std::invalid_argument);
  EXPECT_THROW(quote_literal(std::string_view("\0", 1)), std::invalid_argument);
}

TEST(Printable, NothingForgesALine) {
  EXPECT_EQ(printable("plain \xc3\xa4 \xf0\x9f\x98\x80"), "plain \xc3\xa4 \xf0\x9f\x98\x80");
  EXPECT_EQ(printable("a\nb\x1b[2J"), "a\\x0ab\\x1b[2J");
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
}

}  // namespace
}  // namespace anabranch
