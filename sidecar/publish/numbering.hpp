// Field numbers of a topic's rows are attribute numbers of its table. A table that was dropped and made again under its
// name, or restored from a dump, may have other columns at the same numbers: readers would take one for the other.
#pragma once

#include <string>

#include "sidecar/log/change_log.hpp"
#include "sidecar/publish/progress.hpp"

namespace anabranch {

// What the topic means once records of `relation` stand in it, after those of `before`.
TopicNumbering numbering_of(const Relation& relation, const std::string& system_identifier,
                            const TopicNumbering& before);

// Empty where rows of `relation` can stand in a topic with those of `before`: it is the same table (whose numbers are
// never used again, whatever is altered), nothing is known, or a column stands at each number that both use under one
// name and type. Else the first difference, for people.
std::string renumbered(const Relation& relation, const std::string& system_identifier, const TopicNumbering& before);

}  // namespace anabranch
