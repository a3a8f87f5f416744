// What an engine says when it refuses something, and how its answers are read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace anabranch {

// `text`: its own words in one line of bounded length, and valid UTF-8.
struct EngineReason {
  std::string type;  // as in "cluster_block_exception"; may be empty
  std::string text;
};

// Of the member "error" of an answer.
EngineReason engine_reason(const nlohmann::json& error);
// Of a whole answer, be it JSON or not.
EngineReason reason_in(std::string_view answer);

// `text` as one line of at most `bytes_max` bytes, and valid UTF-8.
std::string one_line(std::string_view text, std::size_t bytes_max = 600);

// The member of an object; null where there is none, or no object.
const nlohmann::json& member(const nlohmann::json& object, std::string_view name);
// A string's text; empty for anything else.
std::string text_of(const nlohmann::json& value);

}  // namespace anabranch
