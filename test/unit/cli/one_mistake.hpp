// What tests of the settings file ask of a text that is refused.
#pragma once

#include <string_view>

#include <gtest/gtest.h>

#include "sidecar/cli/config.hpp"

namespace anabranch {

// The one mistake that `text` is refused for.
inline Mistake mistake_in(std::string_view text) {
  try {
    parse_config(text, "a.toml");
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.mistakes().size(), 1u) << error.what();
    EXPECT_FALSE(error.mistakes()[0].remedy.empty()) << error.what();
    EXPECT_GT(error.mistakes()[0].line, 0u) << error.what();
    return error.mistakes()[0];
  }
  ADD_FAILURE() << "accepted: " << text;
  return {};
}

}  // namespace anabranch
