// Dates and times of the wire as ISO 8601 text, as java.time, chrono and SQL read it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace anabranch {

// Days since 2000-01-01: "2026-11-21". The year 1 BC is 0000, the one before -0001; years past 9999 carry a "+", as
// ISO 8601 wants it. The least and the greatest are "-infinity" and "infinity".
void append_date(std::string& out, int32_t days);
// Microseconds since midnight: "06:07:30", "06:07:30.185973", "24:00:00".
void append_time(std::string& out, int64_t micros);
// Microseconds since 2000-01-01: "2026-11-21T06:07:30.185973" and then `zone`; infinities without it.
void append_timestamp(std::string& out, int64_t micros, std::string_view zone);

// The same from the text that PostgreSQL prints under DateStyle ISO and TimeZone UTC, as it stands in arrays:
// "2026-11-21 06:07:30.185973+00". Text that is none is appended as it is.
void append_iso_of_text(std::string& out, std::string_view text);

}  // namespace anabranch
