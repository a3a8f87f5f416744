// The buffer between records and OutputPluginWrite.
//
// The server flushes to the socket after every plugin write, a system call each time. So records are gathered here and
// written when they pass about 64 KB, or at the end of a transaction.
#pragma once

#include "extension/postgres.hpp"

#include <type_traits>

#include "decoder/record.hpp"
#include "decoder/wire.hpp"

namespace anabranch {

// One frame in the making, and the checksum of the records since the last begin(). One per decoding session.
class Frame {
 public:
  static constexpr int size_wanted = 64 * 1024;

  // The buffer lives in `context`.
  void open(MemoryContext context) {
    MemoryContext caller = MemoryContextSwitchTo(context);
    initStringInfoSize(size_wanted * 2);
    MemoryContextSwitchTo(caller);
  }

  bool is_empty() const { return buffer_.len == 0; }
  bool is_full() const { return buffer_.len >= size_wanted; }

  // Starts the checksum of a transaction anew.
  void begin() { INIT_CRC32C(crc_); }

  // CRC-32C over the payloads appended since begin().
  uint32_t checksum() const {
    pg_crc32c crc = crc_;
    FIN_CRC32C(crc);
    return crc;
  }

  // Adds a record. Raises only when memory is exhausted: callers keep single records far below the 1 GB of a
  // StringInfo.
  template <typename Body>
  void append(const Body& body) {
    record::Framed<Body> framed(body);
    enlargeStringInfo(&buffer_, static_cast<int>(framed.size));
    wire::Writer writer(buffer_.data + buffer_.len);
    char* payload = framed.write(writer);
    Assert(writer.at() == buffer_.data + buffer_.len + framed.size);
    COMP_CRC32C(crc_, payload, framed.payload_size);
    buffer_.len += static_cast<int>(framed.size);
  }

  std::string_view bytes() const { return {buffer_.data, static_cast<size_t>(buffer_.len)}; }
  void clear() { resetStringInfo(&buffer_); }

  // Hands the gathered records to the server. `is_last`: of the transaction.
  void write(LogicalDecodingContext* decoding, bool is_last);

 private:
  void initStringInfoSize(int size);

  StringInfoData buffer_;
  pg_crc32c crc_;
};

static_assert(std::is_trivially_destructible_v<Frame>);

}  // namespace anabranch
