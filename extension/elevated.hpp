// Work on the extension's own tables for a caller who has no rights on them.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// The owner of the extension's schema, and so of its tables.
Oid extension_owner();

/// Runs `body` as the extension's owner under a pinned search_path, with SPI connected. Only statements of our own may
/// run in it, never an expression that a user wrote. An error needs no clearing up here: the end of the
/// (sub)transaction restores user, settings and SPI. `body` must not own anything with a destructor.
template <typename Body>
void as_extension_owner(Body body) {
  Oid user;
  int context;
  GetUserIdAndSecContext(&user, &context);
  const int settings = NewGUCNestLevel();
  SetUserIdAndSecContext(extension_owner(), context | SECURITY_LOCAL_USERID_CHANGE);
  set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  SPI_connect();
  body();
  SPI_finish();
  AtEOXact_GUC(false, settings);
  SetUserIdAndSecContext(user, context);
}

}  // namespace anabranch
