#include "sidecar/publish/array_text.hpp"

#include <gtest/gtest.h>

#include <random>

namespace anabranch {
namespace {

class Shown : public ArrayVisitor {
 public:
  void open() override { text += '<'; }
  void close() override { text += '>'; }
  void element(std::string_view value) override { text += "(" + std::string(value) + ")"; }
  void null() override { text += "-"; }
  std::string text;
};

std::string show(std::string_view array, char delimiter = ',') {
  Shown shown;
  std::string scratch;
  return visit_array(array, delimiter, scratch, shown) ? shown.text : "none";
}

TEST(ArrayText, ReadsWhatPostgresPrints) {
  EXPECT_EQ(show("{}"), "<>");
  EXPECT_EQ(show("{1,NULL,-3}"), "<(1)-(-3)>");
  EXPECT_EQ(show(R"({"a b",NULL,"NULL","","a\"b\\c","{,}"})"), R"(<(a b)-(NULL)()(a"b\c)({,})>)");
  EXPECT_EQ(show("{{1,2},{3,4}}"), "<<(1)(2)><(3)(4)>>");
  EXPECT_EQ(show("[0:1][1:2]={{1,2},{3,4}}"), "<<(1)(2)><(3)(4)>>");
  EXPECT_EQ(show("{(1,1),(0,0);(2,2),(0,0)}", ';'), "<((1,1),(0,0))((2,2),(0,0))>");
  EXPECT_EQ(show("{null,Null}"), "<(null)(Null)>");  // PostgreSQL writes NULL in capitals, and quotes the word
}

TEST(ArrayText, RefusesWhatIsNone) {
  for (const char* text : {"", "a", "{", "}", "{1", "{1,}", "{,1}", "{}}", "{1}x", "{\"a}", "{\"a\"b}", "{a\"b\"}",
                           "[1:2]", "[1:2]{1}", "{{{{{{{1}}}}}}}", "{\"a\\", "{a{b}}"})
    EXPECT_EQ(show(text), "none") << text;
}

TEST(ArrayText, DamagedTextEnds) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr std::string_view parts = "{},\"\\a1N[]=:; ";
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (auto size = random() % 12; size > 0; --size) text += parts[random() % parts.size()];
    const auto shown = show(text);
    // Braces that are opened are closed, or it is no array.
    if (shown != "none") {
      EXPECT_EQ(shown.front(), '<') << text;
    }
  }
}

}  // namespace
}  // namespace anabranch
