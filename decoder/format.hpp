// The numbers of record.proto: field numbers by message, the kinds of record, the enumerations. One contract with that
// file (a unit test compares the two), for those who write and read the bytes by hand: the decoder, the extension and
// the sidecar. Knows neither PostgreSQL nor the sidecar. All of it is there for good.
#pragma once

#include <cstdint>

namespace anabranch {

// Begin.format, and the plugin's option proto_version.
inline constexpr uint32_t record_format = 1;

// The fields of Record: which of its messages a record holds.
enum class RecordKind : uint8_t {
  begin = 1,
  relation = 2,
  insert = 3,
  update = 4,
  remove = 5,
  truncate = 6,
  message = 7,
  unselected = 8,
  commit = 9,
  fragment = 10,
};

enum class ReplicaIdentity : uint8_t { by_default = 0, index = 1, full = 2, nothing = 3 };

// How a value stands in a row.
enum class Encoding : uint8_t {
  text = 0,
  boolean = 1,
  integer = 2,
  oid = 3,
  float4 = 4,
  float8 = 5,
  bytes = 6,
  date = 7,
  time = 8,
  timestamp = 9,
  raw_text = 10,
};

// What an old row holds.
enum class BeforeKind : uint8_t { none = 0, key = 1, full = 2 };

namespace fields {
namespace frame {
enum : uint32_t { records = 1 };
}
namespace begin {
enum : uint32_t { format = 1, xid = 2, commit_time = 3, commit_lsn = 4, origin = 5, end_lsn = 6 };
}
namespace commit {
enum : uint32_t { end_lsn = 1, changes = 2, crc = 3 };
}
namespace relation {
enum : uint32_t { oid = 1, generation = 2, schema = 3, name = 4, replica_identity = 5, columns = 6 };
}
namespace column {
enum : uint32_t {
  number = 1,
  name = 2,
  type_oid = 3,
  type_schema = 4,
  type_name = 5,
  type_modifier = 6,
  encoding = 7,
  in_identity = 8,
  in_primary_key = 9,
};
}
namespace insert {
enum : uint32_t { relation = 1, after = 2, after_gaps = 3 };
}
namespace update {
enum : uint32_t {
  relation = 1,
  before_kind = 2,
  before = 3,
  after = 4,
  unchanged = 5,
  before_gaps = 6,
  after_gaps = 7,
};
}
namespace remove {  // Delete
enum : uint32_t { relation = 1, before_kind = 2, before = 3, before_gaps = 4 };
}
namespace gaps {
enum : uint32_t { fragmented = 1, omitted = 2 };
}
namespace omitted {
enum : uint32_t { number = 1, sqlstate = 2, reason = 3 };
}
namespace fragment {
enum : uint32_t { before = 1, number = 2, offset = 3, total = 4, data = 5, relation = 6 };
}
namespace truncate {
enum : uint32_t { relations = 1, cascade = 2, restart_identity = 3 };
}
namespace truncated {
enum : uint32_t { relation = 1, leaf = 2 };
}
namespace message {
enum : uint32_t {
  transactional = 1,
  prefix = 2,
  content = 3,
  lsn = 4,
  omitted_bytes = 5,
  sqlstate = 6,
  reason = 7,
  prefix_bytes = 8,
};
}
namespace unselected {
enum : uint32_t { relation = 1 };
}
}  // namespace fields

}  // namespace anabranch
