#include "extension/postgres.hpp"

#include "decoder/session.hpp"

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_MODULE_MAGIC;
void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);
}
ANABRANCH_EXPORTS_END

using anabranch::Session;

namespace {

Session* session_of(LogicalDecodingContext* decoding) {
  return static_cast<Session*>(decoding->output_plugin_private);
}

void startup(LogicalDecodingContext* decoding, OutputPluginOptions* options, bool is_slot_creation) {
  options->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
  options->receive_rewrites = false;
  decoding->output_plugin_private = nullptr;
  // Making a slot decodes nothing, and its client gives no options.
  if (is_slot_creation) return;
  auto* session = static_cast<Session*>(MemoryContextAllocZero(decoding->context, sizeof(Session)));
  session->start(decoding);
  decoding->output_plugin_private = session;
}

void shutdown(LogicalDecodingContext* decoding) {
  if (decoding->output_plugin_private) session_of(decoding)->stop();
}

void begin(LogicalDecodingContext* decoding, ReorderBufferTXN*) {
  session_of(decoding)->begin();
}

void change(LogicalDecodingContext* decoding, ReorderBufferTXN* transaction, Relation relation,
            ReorderBufferChange* change) {
  session_of(decoding)->change(transaction, relation, change);
}

void truncate(LogicalDecodingContext* decoding, ReorderBufferTXN* transaction, int count, Relation relations[],
              ReorderBufferChange* change) {
  session_of(decoding)->truncate(transaction, count, relations, change);
}

void message(LogicalDecodingContext* decoding, ReorderBufferTXN* transaction, XLogRecPtr lsn, bool is_transactional,
             const char* prefix, Size size, const char* content) {
  session_of(decoding)->message(transaction, lsn, is_transactional, prefix, size, content);
}

void commit(LogicalDecodingContext* decoding, ReorderBufferTXN* transaction, XLogRecPtr) {
  session_of(decoding)->commit(transaction);
}

bool filter_by_origin(LogicalDecodingContext* decoding, RepOriginId origin) {
  Session* session = session_of(decoding);
  return session && session->skips(origin);
}

}  // namespace

// Neither the callbacks for streaming transactions in progress nor those for two-phase commit: transactions arrive
// whole, at COMMIT or COMMIT PREPARED.
void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  callbacks->startup_cb = startup;
  callbacks->begin_cb = begin;
  callbacks->change_cb = change;
  callbacks->truncate_cb = truncate;
  callbacks->message_cb = message;
  callbacks->commit_cb = commit;
  callbacks->filter_by_origin_cb = filter_by_origin;
  callbacks->shutdown_cb = shutdown;
}
