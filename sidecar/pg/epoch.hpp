// PostgreSQL counts dates and times from 2000-01-01, nearly everybody else from 1970-01-01.
#pragma once

#include <cstdint>

namespace anabranch {

inline constexpr int64_t micros_per_day = 86'400'000'000;
// What lies between the two.
inline constexpr int64_t days_to_postgres_epoch = 10'957;
inline constexpr int64_t micros_to_postgres_epoch = days_to_postgres_epoch * micros_per_day;

}  // namespace anabranch
