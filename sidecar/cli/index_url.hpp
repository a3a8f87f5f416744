// Where an engine is, as a settings file may say it.
#pragma once

#include <string>

#include "sidecar/index/settings.hpp"

namespace anabranch {

// An address of an engine of that kind, made whole: of a search engine http:// or https:// with no "/" at the end,
// of Redis redis://HOST:PORT/DATABASE or unix:///PATH?db=DATABASE. Throws Refusal (config_values.hpp), in which no part
// of `text` stands: somebody may have written a password into it.
std::string index_url(IndexSettings::Kind kind, const std::string& text);

// Whether somebody has.
bool holds_credentials(const std::string& text);

}  // namespace anabranch
