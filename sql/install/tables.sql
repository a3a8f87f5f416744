-- What is recorded: the source and its sidecar, the copies and what they read, their progress, their fill.

-- source, heartbeat and progress are written by every batch or second, and keep every version while anybody holds a snapshot.
-- Where their keys' indexes are not deduplicated, the newest is the last entry, and found first (freshness.cpp).
CREATE TABLE anabranch.source (
  name                 text PRIMARY KEY WITH (deduplicate_items = off) CHECK (name = 'home'),
  system_identifier    text NOT NULL,
  timeline             int NOT NULL,
  slot                 text NOT NULL,
  publication          text NOT NULL,
  token                bigint NOT NULL,
  lsn                  pg_catalog.pg_lsn NOT NULL,
  log_offset           bigint,
  commit_time          timestamptz,
  applied_at           timestamptz,
  sidecar_host         text,
  sidecar_pid          int,
  sidecar_version      text,
  started_at           timestamptz,
  applied_rows         bigint NOT NULL DEFAULT 0,
  applied_transactions bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE anabranch.source IS 'where the changes come from: one row, written once per batch in the batch''s own transaction';
COMMENT ON COLUMN anabranch.source.name IS 'home: this database';
COMMENT ON COLUMN anabranch.source.system_identifier IS 'of the cluster that lsn belongs to';
COMMENT ON COLUMN anabranch.source.timeline IS 'of the cluster when the sidecar last started';
COMMENT ON COLUMN anabranch.source.slot IS 'name of the replication slot the changes are read from';
COMMENT ON COLUMN anabranch.source.publication IS 'name of the publication that selects the tables';
COMMENT ON COLUMN anabranch.source.token IS 'fencing: grows with each start of a sidecar; a batch with an older one is refused';
COMMENT ON COLUMN anabranch.source.lsn IS 'end of the last transaction that is in all live copies';
COMMENT ON COLUMN anabranch.source.log_offset IS 'where the record of lsn stands in the transaction topic, when the changes are read from Kafka';
COMMENT ON COLUMN anabranch.source.commit_time IS 'when that transaction was committed';
COMMENT ON COLUMN anabranch.source.applied_at IS 'when its batch was applied';
COMMENT ON COLUMN anabranch.source.sidecar_host IS 'host the sidecar runs on';
COMMENT ON COLUMN anabranch.source.sidecar_pid IS 'its process id there';
COMMENT ON COLUMN anabranch.source.sidecar_version IS 'its version';
COMMENT ON COLUMN anabranch.source.started_at IS 'when it started';
COMMENT ON COLUMN anabranch.source.applied_rows IS 'changes applied since the source exists';
COMMENT ON COLUMN anabranch.source.applied_transactions IS 'transactions applied since the source exists';

CREATE TABLE anabranch.heartbeat (
  source    text PRIMARY KEY WITH (deduplicate_items = off) REFERENCES anabranch.source ON DELETE CASCADE,
  seen_at   timestamptz NOT NULL,
  mark_lsn  pg_catalog.pg_lsn,
  marked_at timestamptz,
  passed_at timestamptz,
  waiting   text
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.heartbeat IS 'signs of life; apart from source, whose row a large batch keeps locked for as long as it takes';
COMMENT ON COLUMN anabranch.heartbeat.source IS 'the source that the sidecar reads';
COMMENT ON COLUMN anabranch.heartbeat.seen_at IS 'last sign of life of its sidecar; older than 10 s counts as not running';
COMMENT ON COLUMN anabranch.heartbeat.mark_lsn IS 'end of the WAL at marked_at: when the stream has passed it, all that was committed before is applied';
COMMENT ON COLUMN anabranch.heartbeat.marked_at IS 'when the mark was set: with the first sign of life after the stream had passed the one before';
COMMENT ON COLUMN anabranch.heartbeat.passed_at IS 'marked_at of the last mark that the stream was seen to have passed';
COMMENT ON COLUMN anabranch.heartbeat.waiting IS 'what its sidecar has been waiting for for long';

CREATE TABLE anabranch.definition (
  copy        regclass PRIMARY KEY,
  id          int GENERATED ALWAYS AS IDENTITY UNIQUE,
  state       regclass NOT NULL UNIQUE DEFERRABLE,
  class       text NOT NULL CHECK (class IN ('linear', 'rows')),
  query       text NOT NULL,
  shape       text NOT NULL,
  search_path text NOT NULL,
  requested   text NOT NULL DEFAULT 'run' CHECK (requested IN ('run', 'pause')),
  fold        text NOT NULL,
  merge       text NOT NULL,
  shown_view  text NOT NULL,
  functions   jsonb NOT NULL DEFAULT '{}',
  created_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  twin_of     regclass,
  purpose     text CHECK (purpose IN ('proof', 'rebuild', 'alter', 'former')),
  swap        boolean NOT NULL DEFAULT false,
  verify_every interval CHECK (verify_every >= interval '1 s'),
  verify_duty float8 NOT NULL DEFAULT 0.1 CHECK (verify_duty > 0 AND verify_duty <= 1),
  on_partition_removed text NOT NULL DEFAULT 'stale' CHECK (on_partition_removed IN ('stale', 'keep')),
  document_key text[],
  CHECK ((twin_of IS NULL) = (purpose IS NULL))
);
-- What has been made beside a copy to take its place, or has given it up: one at a time.
CREATE UNIQUE INDEX definition_twin ON anabranch.definition (twin_of) WHERE purpose <> 'proof';
COMMENT ON TABLE anabranch.definition IS 'what each copy is: its query and the statements generated from it';
COMMENT ON COLUMN anabranch.definition.copy IS 'the view users read';
COMMENT ON COLUMN anabranch.definition.id IS 'short number, part of names of slots and origins';
COMMENT ON COLUMN anabranch.definition.state IS 'the table below the view';
COMMENT ON COLUMN anabranch.definition.class IS 'linear: groups with counters; rows: re-keyed rows';
COMMENT ON COLUMN anabranch.definition.query IS 'the defining query as its author wrote it';
COMMENT ON COLUMN anabranch.definition.shape IS 'the same query over shadow relations';
COMMENT ON COLUMN anabranch.definition.search_path IS 'search_path under which the query was written';
COMMENT ON COLUMN anabranch.definition.requested IS 'what the owner wants: run or pause';
COMMENT ON COLUMN anabranch.definition.fold IS 'statement that folds changed rows into signed partial results; runs as the copy''s owner';
COMMENT ON COLUMN anabranch.definition.merge IS 'statement that merges partial results into the state table';
COMMENT ON COLUMN anabranch.definition.shown_view IS 'query of the view once the copy is live';
COMMENT ON COLUMN anabranch.definition.functions IS 'functions that the query calls and that did not come with the server, each with a digest of what it was when the copy was filled';
COMMENT ON COLUMN anabranch.definition.created_at IS 'when the copy was created';
COMMENT ON COLUMN anabranch.definition.twin_of IS 'the copy that this one stands beside; NULL: it is a copy of its own';
COMMENT ON COLUMN anabranch.definition.purpose IS 'of a twin: proof, to be compared and dropped; rebuild, alter: to take the copy''s place; former: has given it up';
COMMENT ON COLUMN anabranch.definition.swap IS 'of a twin: it is to change places with the copy as soon as both are live';
COMMENT ON COLUMN anabranch.definition.verify_every IS 'how old a proof may become before the copy is verified again; NULL: it is verified on request alone';
COMMENT ON COLUMN anabranch.definition.verify_duty IS 'duty of those verifications';
COMMENT ON COLUMN anabranch.definition.on_partition_removed IS
  'what becomes of the copy when a partition with rows is detached or dropped: stale, or keep: it stays as it is';
COMMENT ON COLUMN anabranch.definition.document_key IS 'of an index outside the database: the columns of the state table that its documents'' key is in, quoted';

CREATE TABLE anabranch.definition_source (
  copy               regclass NOT NULL REFERENCES anabranch.definition ON DELETE CASCADE,
  ordinal            int NOT NULL CHECK (ordinal >= 1),
  relation           regclass NOT NULL,
  shadow             regclass NOT NULL,
  columns            int2[] NOT NULL,
  named              int2[] NOT NULL,
  key                int2[] NOT NULL,
  old_rows           text NOT NULL CHECK (old_rows IN ('key', 'full')),
  column_definitions text[],
  -- Deferrable, as a copy and its twin change places.
  PRIMARY KEY (copy, ordinal) DEFERRABLE,
  UNIQUE (copy, relation) DEFERRABLE
);
-- A deferrable key is no replica identity, and a publication FOR ALL TABLES, whoever's it is, has this one, too.
ALTER TABLE anabranch.definition_source REPLICA IDENTITY FULL;
CREATE INDEX definition_source_relation ON anabranch.definition_source (relation);
COMMENT ON TABLE anabranch.definition_source IS 'the tables each copy reads, and which of their columns';
COMMENT ON COLUMN anabranch.definition_source.copy IS 'the copy';
COMMENT ON COLUMN anabranch.definition_source.ordinal IS 'number of the source within the copy, from 1';
COMMENT ON COLUMN anabranch.definition_source.relation IS 'the table read';
COMMENT ON COLUMN anabranch.definition_source.shadow IS 'empty relation of the same columns, over which the query was analysed';
COMMENT ON COLUMN anabranch.definition_source.columns IS 'attribute numbers that the copy needs, ascending';
COMMENT ON COLUMN anabranch.definition_source.named IS 'those of columns that the query itself names; the others tell rows apart while the copy is filled';
COMMENT ON COLUMN anabranch.definition_source.key IS 'attribute numbers that identify a row; empty: the whole row image does';
COMMENT ON COLUMN anabranch.definition_source.old_rows IS 'what an old row must hold: key, or full (every column needed)';
COMMENT ON COLUMN anabranch.definition_source.column_definitions IS 'name, type and collation of each of columns when the copy was defined';

-- Not a foreign key: see forget_progress.
CREATE TABLE anabranch.progress (
  copy            regclass PRIMARY KEY WITH (deduplicate_items = off),
  state           text NOT NULL
                  CHECK (state IN ('waiting', 'filling', 'catching_up', 'live', 'paused', 'failed', 'stale')),
  lsn             pg_catalog.pg_lsn,
  sqlstate        text,
  reason          text,
  failed_lsn      pg_catalog.pg_lsn,
  fill_slot       text,
  fill_rows       bigint,
  fill_rows_total bigint,
  fill_started_at timestamptz,
  live_since      timestamptz,
  changed_at      timestamptz NOT NULL DEFAULT pg_catalog.now()
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.progress IS 'how far each copy is; a copy without a row here is unbound (restored from a dump, never filled)';
COMMENT ON COLUMN anabranch.progress.copy IS 'the copy';
COMMENT ON COLUMN anabranch.progress.state IS 'waiting, filling, catching_up, live, paused, failed or stale';
COMMENT ON COLUMN anabranch.progress.lsn IS 'end of the last transaction in the copy; while live, the later of this and source.lsn';
COMMENT ON COLUMN anabranch.progress.sqlstate IS 'error code that set the copy aside';
COMMENT ON COLUMN anabranch.progress.reason IS 'why it was set aside, with the remedy';
COMMENT ON COLUMN anabranch.progress.failed_lsn IS 'end of the transaction that could not be applied';
COMMENT ON COLUMN anabranch.progress.fill_slot IS 'replication slot that keeps the changes since the fill began';
COMMENT ON COLUMN anabranch.progress.fill_rows IS 'source rows read so far';
COMMENT ON COLUMN anabranch.progress.fill_rows_total IS 'source rows to read, estimated';
COMMENT ON COLUMN anabranch.progress.fill_started_at IS 'when the fill began';
COMMENT ON COLUMN anabranch.progress.live_since IS 'when the copy last became live';
COMMENT ON COLUMN anabranch.progress.changed_at IS 'when state last changed';

CREATE TABLE anabranch.fill_chunk (
  copy     regclass NOT NULL REFERENCES anabranch.definition ON DELETE CASCADE,
  ordinal  int NOT NULL,
  number   int NOT NULL,
  upper    bytea,
  snapshot pg_catalog.pg_snapshot NOT NULL,
  rows     bigint NOT NULL,
  PRIMARY KEY (copy, ordinal, number)
);
COMMENT ON TABLE anabranch.fill_chunk IS 'ranges of a source''s key already read by a fill, each with the snapshot it was read in';
COMMENT ON COLUMN anabranch.fill_chunk.copy IS 'the copy being filled';
COMMENT ON COLUMN anabranch.fill_chunk.ordinal IS 'which of its sources';
COMMENT ON COLUMN anabranch.fill_chunk.number IS 'number of the chunk, from 1, in key order';
COMMENT ON COLUMN anabranch.fill_chunk.upper IS 'last key of the chunk as row bytes; NULL: to the end';
COMMENT ON COLUMN anabranch.fill_chunk.snapshot IS 'what the reading saw';
COMMENT ON COLUMN anabranch.fill_chunk.rows IS 'rows read';

-- user_catalog_table: the decoder reads it while it decodes, as it was at that point of the WAL.
CREATE TABLE anabranch.generation (
  relation   oid PRIMARY KEY,
  generation int4 NOT NULL
) WITH (user_catalog_table = true);
COMMENT ON TABLE anabranch.generation IS 'how often a column of a published table has changed its type';
COMMENT ON COLUMN anabranch.generation.relation IS 'the table';
COMMENT ON COLUMN anabranch.generation.generation IS 'number of type changes';

CREATE TABLE anabranch.ddl (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  relation oid NOT NULL,
  tag      text NOT NULL,
  identity text NOT NULL,
  stale    oid[] NOT NULL,
  reason   text NOT NULL
);
COMMENT ON TABLE anabranch.ddl IS 'published, so that data definition reaches the sidecar in order with the rows; always empty, each row is deleted at once';
COMMENT ON COLUMN anabranch.ddl.id IS 'number of the record';
COMMENT ON COLUMN anabranch.ddl.relation IS 'the source concerned';
COMMENT ON COLUMN anabranch.ddl.tag IS 'the command, as event triggers name it';
COMMENT ON COLUMN anabranch.ddl.identity IS 'the source''s qualified name';
COMMENT ON COLUMN anabranch.ddl.stale IS 'copies that no longer follow from their source''s rows';
COMMENT ON COLUMN anabranch.ddl.reason IS 'what was changed, for people';

CREATE TABLE anabranch.source_leaf (
  relation oid NOT NULL,
  leaf     oid NOT NULL,
  PRIMARY KEY (relation, leaf)
);
COMMENT ON TABLE anabranch.source_leaf IS 'partitions (and inheriting tables) of each source, as of the last command that concerned it';
COMMENT ON COLUMN anabranch.source_leaf.relation IS 'the source';
COMMENT ON COLUMN anabranch.source_leaf.leaf IS 'a table below it that holds rows';

CREATE TABLE anabranch.retained (
  copy       regclass NOT NULL,
  leaf       text NOT NULL,
  removed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (copy, leaf) DEFERRABLE
);
ALTER TABLE anabranch.retained REPLICA IDENTITY FULL;
COMMENT ON TABLE anabranch.retained IS 'partitions that are gone and whose rows a copy still has (on_partition_removed = keep)';
COMMENT ON COLUMN anabranch.retained.copy IS 'the copy';
COMMENT ON COLUMN anabranch.retained.leaf IS 'the partition, as it was called';
COMMENT ON COLUMN anabranch.retained.removed_at IS 'when it was detached or dropped';

CREATE TABLE anabranch.unsettled (
  relation oid NOT NULL,
  leaf     oid NOT NULL,
  tag      text NOT NULL,
  PRIMARY KEY (relation, leaf)
);
COMMENT ON TABLE anabranch.unsettled IS 'sources whose key or replica identity is to be looked at when the transaction ends; always empty';
COMMENT ON COLUMN anabranch.unsettled.relation IS 'the source';
COMMENT ON COLUMN anabranch.unsettled.leaf IS 'the table below it that was changed, or the source itself';
COMMENT ON COLUMN anabranch.unsettled.tag IS 'the command, as event triggers name it';

CREATE SEQUENCE anabranch.shadow_number AS int;
COMMENT ON SEQUENCE anabranch.shadow_number IS 'numbers the relations shadow_<n>';

-- A dump carries what was defined, and neither positions nor requests in progress: a restored copy is unbound.
SELECT pg_catalog.pg_extension_config_dump('anabranch.definition', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.definition_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.definition_source', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.retained', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.shadow_number', '');
