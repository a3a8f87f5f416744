// Streams: tables in the schema anabranch_stream whose rows are not written by anybody but told by logical messages.
//
// A transactional message belongs to the stream that is called like its prefix, up to the first colon (what stands
// behind it is a key, for readers of the message). Its content is a JSON object; the row is what
// jsonb_populate_record(NULL::stream, content::jsonb) makes of it: members become columns of the same name, what is
// missing or null is NULL, other members are passed over, values are read by the type's own input function under the
// pinned settings (time stamps without a zone are UTC).
//
// Only types of PostgreSQL itself whose input depends on nothing but the text may be columns of a stream: no code of a
// user runs while decoding, and decoding the same log again gives the same rows. For that, the words now, today,
// tomorrow and yesterday are no times here.
#pragma once

#include "extension/postgres.hpp"

#include <string_view>

#include "decoder/row.hpp"

namespace anabranch {

inline constexpr const char* stream_schema = "anabranch_stream";

// Any role can send messages: one that is larger is no row. So a row fits into a record wherever rows go.
inline constexpr size_t stream_content_size_max = 1024 * 1024;
inline constexpr size_t stream_row_size_max = 512 * 1024;

// Whether a stream may have a column of this type.
bool is_stream_type(Oid type);

// The stream that a message with this prefix (in the server's encoding) belongs to, as the catalogs stood at this point
// of the log; nullptr: none. Without a lock, as is right while decoding; the caller closes it. Leaves nothing behind in
// a cache for prefixes that are none: any role can emit messages.
Relation open_stream(const char* prefix);

// Fills `tuple`, which has room for the descriptor's attributes, from a message's content. The values are in the
// current memory context. Raises when it is no JSON object, or one of its values is none of the column's type.
void read_stream_content(std::string_view content, TupleDesc descriptor, Tuple* tuple);

}  // namespace anabranch
