// Folds and merges the changed rows of a copy.
#pragma once

#include "extension/postgres.hpp"

#include "extension/changes.hpp"

namespace anabranch {

/// Runs the copy's two statements over the changes, after emptying the copy when they say so:
///   1. fold, as the copy's owner in a security-restricted operation: the query's core over delta_1, delta_2, ...,
///      as signed partial results. The only place where expressions of the user run.
///   2. merge, as the state table's owner: the partial results into the state table; groups that came to nothing go.
/// Raises whatever the user's expressions raise, and AN005 when a group's row count falls below zero.
/// Needs SPI connected by the caller.
void apply_changes(Changes* changes);

/// Makes `rows` the ephemeral relation `name` for the statements that SPI runs until SPI_unregister_relation.
void register_rows(const char* name, TupleDesc description, Tuplestorestate* rows);

/// The merge alone, of partial results (each with the columns of the state table that the copy's fold returns).
void merge_folded(Copy* copy, TupleDesc description, Tuplestorestate* folded);

/// Empties the state table.
void empty_state(Copy* copy);

/// Runs `body` as `user` with the settings that user expressions are evaluated under in every copy: pinned search_path,
/// row security that raises instead of hiding rows, security-restricted. Errors need no clearing up.
template <typename Body>
void as_restricted(Oid user, Body body) {
  Oid caller;
  int context;
  GetUserIdAndSecContext(&caller, &context);
  const int settings = NewGUCNestLevel();
  set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  SetUserIdAndSecContext(user, context | SECURITY_RESTRICTED_OPERATION);
  body();
  SetUserIdAndSecContext(caller, context);
  AtEOXact_GUC(false, settings);
}

/// Raises again the error that is being caught, as one of the copy's own where its SQLSTATE would say something of the
/// server or of the sidecar. Only inside PG_CATCH.
[[noreturn]] void raise_as_own(MemoryContext context);

/// as_restricted for a body that evaluates what a user wrote. A function can raise any SQLSTATE it likes: none may be
/// taken for the server's (shutting down, disk full) or for ours (another sidecar), since those stop every copy.
template <typename Body>
void as_user(Oid user, Body body) {
  MemoryContext context = CurrentMemoryContext;
  PG_TRY();
  { as_restricted(user, body); }
  PG_CATCH();
  { raise_as_own(context); }
  PG_END_TRY();
}

/// Runs a query under the active snapshot, its rows going to `receiver`. Needs SPI connected by the caller.
void run_into(const char* statement, DestReceiver* receiver);

/// "schema"."table" of a relation, quoted.
char* quoted_name(Oid relation);

}  // namespace anabranch
