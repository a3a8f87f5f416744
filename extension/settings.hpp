// Settings under which definitions are printed, read again and evaluated.
#pragma once

#include "extension/postgres.hpp"

#include "decoder/value.hpp"

namespace anabranch {

/// Pins what the text of values depends on, and the search_path to pg_catalog: constants and names then print as they
/// will be read. Returns what unpin_settings needs; an error needs no unpinning.
inline int pin_settings() {
  const int level = pin_output_settings();
  set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  return level;
}

inline void unpin_settings(int level) {
  unpin_output_settings(level);
}

}  // namespace anabranch
