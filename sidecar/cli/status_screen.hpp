// What `anabranch status` prints: for people, 100 columns; for machines, JSON. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sidecar/cli/finding.hpp"
#include "sidecar/cli/status_facts.hpp"

namespace anabranch {

// Per second, between two looks at the source.
struct Rates {
  double rows = 0;
  double transactions = 0;
};

inline constexpr size_t screen_columns = 100;
// Copies that are as they should be are counted, not listed, past so many.
inline constexpr size_t copies_listed_max = 40;

// No line is longer than screen_columns characters; the worst finding stands last, with its remedy.
std::string status_screen(const StatusFacts& facts, const std::optional<Rates>& rates,
                          const std::vector<Finding>& findings);

// One object, pretty-printed, with a newline at its end. Durations are in milliseconds, sizes in bytes, as the names
// say; docs/operations.md lists the members, which stay.
std::string status_json(const StatusFacts& facts, const std::optional<Rates>& rates,
                        const std::vector<Finding>& findings);

}  // namespace anabranch
