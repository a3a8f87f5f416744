// What the expressions of a definition may contain.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// Raises, with the reason and the remedy, when something in the query would give another result at another time or for
/// another session, or may not be executed by the current user.
void check_expressions(Query* query);

/// The functions that a query calls, by name or behind an operator, and that did not come with the server: a list of
/// oids in the current memory context.
List* functions_called(Query* query);

}  // namespace anabranch
