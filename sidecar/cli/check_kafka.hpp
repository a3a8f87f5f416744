// What `anabranch check` looks at with log = "kafka".
#pragma once

#include <vector>

#include "sidecar/cli/finding.hpp"
#include "sidecar/cli/settings.hpp"
#include "sidecar/pg/connection.hpp"

namespace anabranch {

// What publishing needs: brokers that answer and let us write in transactions, topics that are ours, tables that have
// keys and topics of their own, and a start that would go on. Takes half a minute at most where brokers do not answer.
// Makes no topic and fences nobody: transactions are tried under an id of its own. `connection` is to the home
// database, whose extension is there. Throws PgError.
std::vector<Finding> examine_kafka(const Settings& settings, Connection& connection);

}  // namespace anabranch
