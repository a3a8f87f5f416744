#include "extension/postgres.hpp"

#include "decoder/session.hpp"

#include "decoder/stream.hpp"
#include "decoder/value.hpp"

namespace anabranch {

namespace {

// A long run of changes that nobody wants must not look like a hung connection: after so many the server gets an
// opportunity to send a keepalive and to read the answers. From 16 on it takes the opportunity itself.
constexpr int skipped_max = 100;

// A logical message may be close to 1 GB, which no frame can hold.
// Any role can emit a message, with a prefix of any length.
constexpr size_t prefix_size_max = 64 * 1024;
constexpr size_t message_size_max = 16 * 1024 * 1024;

// The log knows 32 bits of a transaction's number; it is never more than 2^31 behind the next one to be given out.
uint64 full_xid(TransactionId xid) {
  FullTransactionId next = ReadNextFullTransactionId();
  uint32 epoch = EpochFromFullTransactionId(next);
  if (xid > XidFromFullTransactionId(next)) --epoch;
  return static_cast<uint64>(epoch) << 32 | xid;
}

void take_apart(HeapTuple source, TupleDesc descriptor, Tuple* tuple) {
  heap_deform_tuple(source, descriptor, tuple->values, tuple->nulls);
}

}  // namespace

void Session::start(LogicalDecodingContext* decoding) {
  decoding_ = decoding;
  MemoryContext context = AllocSetContextCreate(decoding->context, "anabranch decoder", ALLOCSET_DEFAULT_SIZES);
  change_context_ = AllocSetContextCreate(decoding->context, "anabranch change", ALLOCSET_DEFAULT_SIZES);
  print_context_ = AllocSetContextCreate(decoding->context, "anabranch printing", ALLOCSET_DEFAULT_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context);
  options_ = parse_options(decoding->output_plugin_options);
  relations_.open(context, options_.publications);
  origins_.open(context, options_.skipped_origins);
  frame_.open(context);
  is_begun_ = false;
  skipped_since_write_ = 0;
  MemoryContextSwitchTo(caller);
  settings_level_ = pin_output_settings();
}

void Session::stop() {
  unpin_output_settings(settings_level_);
}

void Session::begin() {
  is_begun_ = false;
  changes_ = 0;
}

void Session::ensure_begun(ReorderBufferTXN* transaction) {
  if (is_begun_) return;
  is_begun_ = true;
  frame_.begin();
  record::Begin begin;
  begin.xid = full_xid(transaction->xid);
  begin.commit_time = transaction->xact_time.commit_time;
  begin.commit_lsn = transaction->final_lsn;
  begin.origin = origin_name(transaction->origin_id);
  begin.end_lsn = transaction->end_lsn;
  append(begin);
}

void Session::ensure_described(RelationEntry* entry) {
  if (relations_.must_describe(entry)) append(record::Encoded<record::Relation>{entry->description});
}

void Session::tell_unselected(ReorderBufferTXN* transaction, RelationEntry* entry) {
  Oid gone = relations_.take_unselected(entry);
  if (!OidIsValid(gone)) return;
  ensure_begun(transaction);
  append(record::Unselected{gone});
}

void Session::change(ReorderBufferTXN* transaction, Relation relation, ReorderBufferChange* change) {
  MemoryContext caller = MemoryContextSwitchTo(change_context_);
  RelationEntry* entry = relations_.find(relation);
  tell_unselected(transaction, entry);

  Work work{};
  work.entry = entry;
  bool is_published = false;
  switch (change->action) {
    case REORDER_BUFFER_CHANGE_INSERT:
      work.operation = Operation::insert;
      is_published = entry->selection.inserts;
      break;
    case REORDER_BUFFER_CHANGE_UPDATE:
      work.operation = Operation::update;
      is_published = entry->selection.updates;
      break;
    case REORDER_BUFFER_CHANGE_DELETE:
      work.operation = Operation::remove;
      is_published = entry->selection.deletes;
      break;
    default:
      break;
  }
  if (is_published) {
    HeapTuple before = tuple_of(change->data.tp.oldtuple);
    HeapTuple after = tuple_of(change->data.tp.newtuple);
    work.has_before = before != nullptr;
    work.has_after = after != nullptr;
    work.before_is_full = entry->replica_identity == REPLICA_IDENTITY_FULL;
    if (before) take_apart(before, entry->descriptor, &entry->before_tuple);
    if (after) take_apart(after, entry->descriptor, &entry->after_tuple);
    Failure failure;
    bool has_failed = false;
    if (entry->filter) {
      Verdict verdict = judge(&work);
      is_published = verdict.passes;
      has_failed = verdict.has_failed;
      failure = verdict.failure;
    }
    if (is_published) {
      prepare(&work);
      if (has_failed)
        (work.has_after ? entry->after : entry->before)
            .omit_all(entry->columns, entry->column_count, failure.sqlstate, failure.message);
      ensure_begun(transaction);
      ensure_described(entry);
      send(work);
    }
  }
  if (!is_published) skipped();
  MemoryContextSwitchTo(caller);
  MemoryContextReset(change_context_);
  MemoryContextReset(print_context_);
}

// The row filters' verdict, which may turn an update into an insert or a delete.
Verdict Session::judge(Work* work) {
  RelationEntry* entry = work->entry;
  const Tuple* before = work->has_before ? &entry->before_tuple : nullptr;
  if (!work->has_after) return judge_row(entry->filter, work->operation, entry->before_tuple, nullptr);
  Verdict after = judge_row(entry->filter, work->operation, entry->after_tuple, before);
  // Without an old row the columns of the replica identity, and so those of the filter, are the same in both.
  if (work->operation != Operation::update || before == nullptr || after.has_failed) return after;
  Verdict old = judge_row(entry->filter, Operation::update, entry->before_tuple, nullptr);
  if (old.has_failed || old.passes == after.passes) return old;
  work->operation = after.passes ? Operation::insert : Operation::remove;
  old.passes = true;
  return old;
}

void Session::prepare_rows(void* argument) {
  auto* work = static_cast<Work*>(argument);
  RelationEntry* entry = work->entry;
  bool wants_before = work->has_before && work->operation != Operation::insert;
  bool wants_after = work->has_after && work->operation != Operation::remove;
  if (wants_before) {
    Column* columns = work->before_is_full ? entry->columns : entry->identity;
    int count = work->before_is_full ? entry->column_count : entry->identity_count;
    prepare_row(columns, count, entry->before_tuple, nullptr, true, &entry->before, &work->at);
  } else {
    entry->before.clear();
  }
  if (wants_after) {
    bool is_insert = work->operation == Operation::insert;
    const Tuple* fallback = is_insert && work->has_before ? &entry->before_tuple : nullptr;
    prepare_row(entry->columns, entry->column_count, entry->after_tuple, fallback, is_insert, &entry->after, &work->at);
  } else {
    entry->after.clear();
  }
}

// Prints the rows without raising: what fails is done again from the start with more care for the column that failed.
void Session::prepare(Work* work) {
  MemoryContext caller = MemoryContextSwitchTo(print_context_);
  Failure failure;
  while (!guard(prepare_rows, work, true, &failure)) {
    if (work->at == nullptr || work->at->has_failed)
      ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("cannot decode a change: %s", failure.message)));
    work->at->has_failed = true;
    // What had been printed so far, up to 1 GB of it.
    MemoryContextReset(print_context_);
  }
  MemoryContextSwitchTo(caller);
}

void Session::send(const Work& work) {
  RelationEntry* entry = work.entry;
  uint32_t oid = entry->selection.published_as;
  auto before_kind = !work.has_before ? BeforeKind::none : work.before_is_full ? BeforeKind::full : BeforeKind::key;
  const auto send_fragment = [this](const record::Fragment& fragment) { append(fragment); };
  each_fragment(entry->before, true, oid, send_fragment);
  each_fragment(entry->after, false, oid, send_fragment);
  ++changes_;
  switch (work.operation) {
    case Operation::insert:
      return append(record::Insert<Row>{oid, entry->after, entry->after.gaps});
    case Operation::update:
      return append(record::Update<Row>{oid, before_kind, entry->before, entry->after, entry->after.unchanged_list(),
                                        entry->before.gaps, entry->after.gaps});
    case Operation::remove:
      return append(record::Delete<Row>{oid, before_kind, entry->before, entry->before.gaps});
  }
}

void Session::truncate(ReorderBufferTXN* transaction, int count, Relation* relations,
                       const ReorderBufferChange* change) {
  MemoryContext caller = MemoryContextSwitchTo(change_context_);
  auto* truncated = static_cast<record::Truncated*>(palloc(sizeof(record::Truncated) * Max(count, 1)));
  size_t truncated_count = 0;
  for (int i = 0; i < count; ++i) {
    RelationEntry* entry = relations_.find(relations[i]);
    tell_unselected(transaction, entry);
    if (!entry->selection.truncates) continue;
    Oid root = entry->selection.published_as;
    bool is_leaf = root != entry->oid;
    // A partitioned table below the root has no rows: its leaves stand in the list themselves.
    if (is_leaf && relations[i]->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) continue;
    bool root_is_truncated = false;
    for (int j = 0; j < count && is_leaf; ++j) root_is_truncated |= RelationGetRelid(relations[j]) == root;
    if (root_is_truncated) continue;
    ensure_begun(transaction);
    ensure_described(entry);
    truncated[truncated_count++] = record::Truncated{root, is_leaf ? entry->oid : InvalidOid};
  }
  if (truncated_count > 0) {
    ++changes_;
    append(record::Truncate{
        {truncated, truncated_count}, change->data.truncate.cascade, change->data.truncate.restart_seqs});
  } else {
    skipped();
  }
  MemoryContextSwitchTo(caller);
  MemoryContextReset(change_context_);
}

void Session::message(ReorderBufferTXN* transaction, XLogRecPtr lsn, bool is_transactional, const char* prefix,
                      size_t size, const char* content) {
  if (!options_.messages) return;
  MemoryContext caller = MemoryContextSwitchTo(change_context_);
  record::Message message;
  message.transactional = is_transactional;
  if (const size_t prefix_size = strlen(prefix); prefix_size > prefix_size_max) {
    message.prefix_bytes = prefix_size;
    prefix = pnstrdup(prefix, pg_mbcliplen(prefix, static_cast<int>(prefix_size), static_cast<int>(prefix_size_max)));
  }
  message.prefix = readable_utf8(prefix);
  message.lsn = lsn;
  if (size <= message_size_max)
    message.content = std::string_view(content, size);
  else
    message.omitted_bytes = size;
  if (is_transactional) {
    Work row{};
    Failure failure;
    const bool is_row = read_stream_row(transaction, prefix, size, content, &row, &failure);
    message.sqlstate = failure.sqlstate;
    message.reason = failure.message;
    ensure_begun(transaction);
    ++changes_;
    append(message);
    if (is_row) {
      ensure_described(row.entry);
      send(row);
    }
  } else {
    // It belongs to no transaction and comes between two of them, so nothing is waiting in the frame.
    frame_.append(message);
    write(true);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextReset(change_context_);
  MemoryContextReset(print_context_);
}

namespace {

struct ContentRequest {
  std::string_view content;
  RelationEntry* entry;
};

}  // namespace

void Session::read_content(void* argument) {
  auto* request = static_cast<ContentRequest*>(argument);
  read_stream_content(request->content, request->entry->descriptor, &request->entry->after_tuple);
}

bool Session::read_stream_row(ReorderBufferTXN* transaction, const char* prefix, size_t size, const char* content,
                              Work* work, Failure* failure) {
  Relation stream = open_stream(prefix);
  if (stream == nullptr) return false;
  RelationEntry* entry = relations_.find(stream);
  tell_unselected(transaction, entry);
  RelationClose(stream);
  if (!entry->selection.inserts) return false;
  work->entry = entry;
  work->operation = Operation::insert;
  work->has_after = true;
  failure->sqlstate = "54000";
  failure->message = "the content is larger than 1 MB";
  if (size > stream_content_size_max) return false;
  // Contents are anybody's: what fails is undone at once, lest a transaction of many hold on to what each left behind.
  ContentRequest request{std::string_view(content, size), entry};
  if (!guard_in_subtransaction(read_content, &request, true, failure)) return false;
  if (entry->filter) {
    Verdict verdict = judge(work);
    *failure = verdict.failure;
    if (verdict.has_failed || !verdict.passes) return false;
  }
  prepare(work);
  const Row& row = entry->after;
  failure->sqlstate = "54000";
  failure->message = "the row is larger than 512 kB";
  if (row.size > stream_row_size_max || row.large_count > 0 || row.omitted_count > 0) return false;
  *failure = Failure{};
  return true;
}

void Session::commit(ReorderBufferTXN* transaction) {
  OutputPluginUpdateProgress(decoding_, !is_begun_);
  if (!is_begun_) return;
  record::Commit commit;
  commit.end_lsn = transaction->end_lsn;
  commit.changes = changes_;
  commit.crc = frame_.checksum();
  frame_.append(commit);
  write(true);
  is_begun_ = false;
}

void Session::skipped() {
  if (++skipped_since_write_ < skipped_max) return;
  skipped_since_write_ = 0;
  tell_progress(decoding_);
}

void Session::write(bool is_last) {
  frame_.write(decoding_, is_last);
  skipped_since_write_ = 0;
}

}  // namespace anabranch
