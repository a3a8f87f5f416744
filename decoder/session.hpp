// A decoding session: what the callbacks do, in the order in which the server calls them.
#pragma once

#include "extension/postgres.hpp"

#include <type_traits>

#include "decoder/frame.hpp"
#include "decoder/guard.hpp"
#include "decoder/options.hpp"
#include "decoder/origin.hpp"
#include "decoder/relation.hpp"

namespace anabranch {

// From the plugin's startup to its shutdown; lives in the decoding context. Three memory contexts: the session's
// (options and caches), one per cached relation, and two per change, which are reset after it.
//
// Transactions arrive whole, one after the other, at their commit; so there is at most one in the making.
class Session {
 public:
  void start(LogicalDecodingContext* decoding);
  void stop();

  void begin();
  void change(ReorderBufferTXN* transaction, Relation relation, ReorderBufferChange* change);
  void truncate(ReorderBufferTXN* transaction, int count, Relation* relations, const ReorderBufferChange* change);
  void message(ReorderBufferTXN* transaction, XLogRecPtr lsn, bool is_transactional, const char* prefix, size_t size,
               const char* content);
  void commit(ReorderBufferTXN* transaction);
  bool skips(RepOriginId origin) { return origins_.skips(origin); }

 private:
  // The change at hand, as the guard needs it.
  struct Work {
    RelationEntry* entry;
    bool has_before;
    bool before_is_full;
    bool has_after;
    Operation operation;
    Column* at;  // being printed
  };

  // Opens the transaction with the first thing that there is to say in it.
  void ensure_begun(ReorderBufferTXN* transaction);
  void ensure_described(RelationEntry* entry);
  void tell_unselected(ReorderBufferTXN* transaction, RelationEntry* entry);
  Verdict judge(Work* work);
  void prepare(Work* work);
  void send(const Work& work);
  // Whether a message's content is a row of the stream that its prefix names: then *work is that row's insert, ready to
  // be sent. False: there is no such stream that is published, or *failure says why not.
  bool read_stream_row(ReorderBufferTXN* transaction, const char* prefix, size_t size, const char* content, Work* work,
                       Failure* failure);
  void skipped();

  template <typename Body>
  void append(const Body& body) {
    frame_.append(body);
    if (frame_.is_full()) write(false);
  }
  void write(bool is_last);

  static void prepare_rows(void* work);
  static void read_content(void* request);

  LogicalDecodingContext* decoding_;
  MemoryContext change_context_;
  MemoryContext
      print_context_;  // what output functions leave behind: reset after each change, and when one of them raises
  Options options_;
  RelationCache relations_;
  OriginFilter origins_;
  Frame frame_;
  int settings_level_;
  bool is_begun_;
  uint64 changes_;  // of the transaction
  int skipped_since_write_;
};

static_assert(std::is_trivially_destructible_v<Session>);

}  // namespace anabranch
