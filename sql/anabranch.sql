\echo Use "CREATE EXTENSION anabranch" to load this file. \quit

-- The extension's catalog and functions, in sections: roles, tables, definitions, batches, copying, data definition,
-- requests, freshness, views, digesting what the decoder sends, grants.
--
-- Three rules hold for the whole script, and test/sql/catalog_rules.sql checks them. Nothing is taken over: no CREATE OR
-- REPLACE, no IF NOT EXISTS (an object planted beforehand makes the installation fail). Every function pins its search_path.
-- Nothing is executable by PUBLIC but what the section "grants" lists.

-- The schema is created here, not by the control file: CREATE EXTENSION would take over one that exists.
CREATE SCHEMA anabranch;
COMMENT ON SCHEMA anabranch IS 'Anabranch: secondary copies of tables, kept in step from the WAL';

CREATE SCHEMA anabranch_data;
COMMENT ON SCHEMA anabranch_data IS 'state tables of copies; written by anabranch alone, read through the copies'' views';

---------------------------------------------------------------------------------------------------------------- roles

-- Roles belong to the cluster, and another of its databases may have made them already.
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['anabranch_monitor', 'anabranch_operator', 'anabranch_sidecar'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
      EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role);
    END IF;
  END LOOP;
END
$$;

--------------------------------------------------------------------------------------------------------------- tables

CREATE TABLE anabranch.source (
  name                 text PRIMARY KEY CHECK (name = 'home'),
  system_identifier    text NOT NULL,
  timeline             int NOT NULL,
  slot                 text NOT NULL,
  publication          text NOT NULL,
  token                bigint NOT NULL,
  lsn                  pg_catalog.pg_lsn NOT NULL,
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
COMMENT ON COLUMN anabranch.source.commit_time IS 'when that transaction was committed';
COMMENT ON COLUMN anabranch.source.applied_at IS 'when its batch was applied';
COMMENT ON COLUMN anabranch.source.sidecar_host IS 'host the sidecar runs on';
COMMENT ON COLUMN anabranch.source.sidecar_pid IS 'its process id there';
COMMENT ON COLUMN anabranch.source.sidecar_version IS 'its version';
COMMENT ON COLUMN anabranch.source.started_at IS 'when it started';
COMMENT ON COLUMN anabranch.source.applied_rows IS 'changes applied since the source exists';
COMMENT ON COLUMN anabranch.source.applied_transactions IS 'transactions applied since the source exists';

CREATE TABLE anabranch.heartbeat (
  source  text PRIMARY KEY REFERENCES anabranch.source ON DELETE CASCADE,
  seen_at timestamptz NOT NULL,
  lsn     pg_catalog.pg_lsn
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.heartbeat IS 'signs of life; apart from source, whose row a large batch keeps locked for as long as it takes';
COMMENT ON COLUMN anabranch.heartbeat.source IS 'the source that the sidecar reads';
COMMENT ON COLUMN anabranch.heartbeat.lsn IS 'message written at seen_at: when the stream has passed it, all that was committed before seen_at is applied';
COMMENT ON COLUMN anabranch.heartbeat.seen_at IS 'last sign of life of its sidecar; older than 10 s counts as not running';

CREATE TABLE anabranch.definition (
  copy        regclass PRIMARY KEY,
  id          int GENERATED ALWAYS AS IDENTITY UNIQUE,
  state       regclass NOT NULL UNIQUE,
  class       text NOT NULL CHECK (class IN ('linear', 'rows')),
  query       text NOT NULL,
  shape       text NOT NULL,
  search_path text NOT NULL,
  requested   text NOT NULL DEFAULT 'run' CHECK (requested IN ('run', 'pause')),
  fold        text NOT NULL,
  merge       text NOT NULL,
  shown_view  text NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT pg_catalog.now()
);
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
COMMENT ON COLUMN anabranch.definition.created_at IS 'when the copy was created';

CREATE TABLE anabranch.definition_source (
  copy               regclass NOT NULL REFERENCES anabranch.definition ON DELETE CASCADE,
  ordinal            int NOT NULL CHECK (ordinal >= 1),
  relation           regclass NOT NULL,
  shadow             regclass NOT NULL,
  columns            int2[] NOT NULL,
  key                int2[] NOT NULL,
  old_rows           text NOT NULL CHECK (old_rows IN ('key', 'full')),
  column_definitions text[],
  PRIMARY KEY (copy, ordinal),
  UNIQUE (copy, relation)
);
CREATE INDEX definition_source_relation ON anabranch.definition_source (relation);
COMMENT ON TABLE anabranch.definition_source IS 'the tables each copy reads, and which of their columns';
COMMENT ON COLUMN anabranch.definition_source.copy IS 'the copy';
COMMENT ON COLUMN anabranch.definition_source.ordinal IS 'number of the source within the copy, from 1';
COMMENT ON COLUMN anabranch.definition_source.relation IS 'the table read';
COMMENT ON COLUMN anabranch.definition_source.shadow IS 'empty relation of the same columns, over which the query was analysed';
COMMENT ON COLUMN anabranch.definition_source.columns IS 'attribute numbers that the copy needs, ascending';
COMMENT ON COLUMN anabranch.definition_source.key IS 'attribute numbers that identify a row; empty: the whole row image does';
COMMENT ON COLUMN anabranch.definition_source.old_rows IS 'what an old row must hold: key, or full (every column needed)';
COMMENT ON COLUMN anabranch.definition_source.column_definitions IS 'name, type and collation of each of columns when the copy was defined';

CREATE TABLE anabranch.progress (
  copy            regclass PRIMARY KEY REFERENCES anabranch.definition ON DELETE CASCADE,
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
COMMENT ON TABLE anabranch.generation IS 'how often a column of a source has changed its type';
COMMENT ON COLUMN anabranch.generation.relation IS 'the source';
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
SELECT pg_catalog.pg_extension_config_dump('anabranch.shadow_number', '');

---------------------------------------------------------------------------------------------------------- definitions

CREATE FUNCTION anabranch.create_aggregate_table(name text, query text, prepare_sources boolean DEFAULT false)
RETURNS regclass LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'anabranch_create_aggregate_table';
COMMENT ON FUNCTION anabranch.create_aggregate_table(text, text, boolean) IS
  'creates a copy that is kept equal to the query''s result; prepare_sources: sets REPLICA IDENTITY FULL where it is needed';

-- These run once per row or group and look nothing up: to pin a search_path would cost more than all they do.
CREATE FUNCTION anabranch.census_step(internal, numeric, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_census_step';
COMMENT ON FUNCTION anabranch.census_step(internal, numeric, integer) IS 'part of anabranch.census';

CREATE FUNCTION anabranch.census_result(internal) RETURNS bigint[]
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_census_result';
COMMENT ON FUNCTION anabranch.census_result(internal) IS 'part of anabranch.census';

CREATE AGGREGATE anabranch.census(numeric, integer) (
  SFUNC = anabranch.census_step, STYPE = internal, FINALFUNC = anabranch.census_result, PARALLEL = SAFE);
COMMENT ON AGGREGATE anabranch.census(numeric, integer) IS
  'how many values are NaN, Infinity, -Infinity, and have display scale 0, 1, 2, ..., each with its weight';

CREATE FUNCTION anabranch.add_counts(bigint[], bigint[]) RETURNS bigint[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_add_counts';
COMMENT ON FUNCTION anabranch.add_counts(bigint[], bigint[]) IS 'adds element by element; the shorter array goes on with zeros';

------------------------------------------------------------------------------------------------- batches and progress

CREATE FUNCTION anabranch.start_sidecar(source text, slot text, publication text, host text, pid int, version text,
                                        OUT token bigint, OUT lsn pg_catalog.pg_lsn)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place        record;
  known        anabranch.source;
  here         text := (SELECT system_identifier::text FROM pg_control_system());
  current_line int := (SELECT timeline_id FROM pg_control_checkpoint());
  lost_range   text;
BEGIN
  IF start_sidecar.source IS DISTINCT FROM 'home' THEN
    RAISE EXCEPTION 'unknown source "%"', start_sidecar.source
      USING ERRCODE = 'invalid_parameter_value', HINT = 'The source in this database is named "home".';
  END IF;
  SELECT * INTO place FROM pg_replication_slots WHERE slot_name = start_sidecar.slot;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'replication slot "%" does not exist', start_sidecar.slot
      USING ERRCODE = 'undefined_object', HINT = 'Run "anabranch init" to make it.';
  END IF;
  IF place.plugin IS DISTINCT FROM 'anabranch_decoder' OR place.database IS DISTINCT FROM current_database() THEN
    RAISE EXCEPTION 'replication slot "%" is not one of anabranch_decoder in this database', start_sidecar.slot
      USING ERRCODE = 'wrong_object_type', HINT = 'Choose another slot name, and run "anabranch init" to make it.';
  END IF;
  IF place.wal_status = 'lost' THEN
    RAISE EXCEPTION 'replication slot "%" has lost WAL it still needed', start_sidecar.slot
      USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It was invalidated because it kept more WAL than max_slot_wal_keep_size allows.',
            HINT = format('Run "SELECT pg_drop_replication_slot(%L)" and "anabranch init"; the copies then say what they miss.',
                          start_sidecar.slot);
  END IF;

  -- A lock before the look, so that of two sidecars starting at once each gets a token of its own.
  LOCK TABLE anabranch.source IN SHARE ROW EXCLUSIVE MODE;
  -- The sidecar's sessions commit asynchronously, but a token must survive the server's crash: given out twice, it would
  -- fence nobody.
  PERFORM set_config('synchronous_commit', 'local', true);
  SELECT * INTO known FROM anabranch.source AS s WHERE s.name = start_sidecar.source;
  IF FOUND AND place.active
     AND (known.sidecar_host, known.sidecar_pid) IS DISTINCT FROM (start_sidecar.host, start_sidecar.pid) THEN
    RAISE EXCEPTION 'replication slot "%" is in use by process %', start_sidecar.slot, place.active_pid
      USING ERRCODE = 'object_in_use',
            DETAIL = format('The sidecar on host %L with process id %s was started at %s.',
                            known.sidecar_host, known.sidecar_pid, known.started_at),
            HINT = 'Run one sidecar per database. If that one is gone, the server notices within wal_sender_timeout.';
  END IF;

  IF NOT FOUND THEN
    INSERT INTO anabranch.source AS s (name, system_identifier, timeline, slot, publication, token, lsn)
    VALUES (start_sidecar.source, here, current_line, start_sidecar.slot, start_sidecar.publication, 0,
            place.confirmed_flush_lsn);
  ELSIF known.system_identifier <> here THEN
    -- The files were carried over (pg_upgrade): positions of another cluster mean nothing here.
    DELETE FROM anabranch.fill_chunk;
    DELETE FROM anabranch.progress;
    UPDATE anabranch.source AS s SET system_identifier = here, lsn = place.confirmed_flush_lsn, commit_time = NULL
    WHERE s.name = start_sidecar.source;
    RAISE WARNING 'this database comes from another cluster, its copies are unbound'
      USING HINT = 'Fill each again with anabranch.resume.';
  ELSIF place.confirmed_flush_lsn > known.lsn THEN
    lost_range := format('the changes between %s and %s are lost: replication slot "%s" was made anew or moved by hand',
                         known.lsn, place.confirmed_flush_lsn, start_sidecar.slot);
    UPDATE anabranch.progress AS p
    SET state = 'stale', lsn = known.lsn, sqlstate = 'AN004', changed_at = now(),
        reason = lost_range || '; fill the copy again with anabranch.resume'
    WHERE p.state = 'live' AND greatest(p.lsn, known.lsn) < place.confirmed_flush_lsn;
    UPDATE anabranch.source AS s SET lsn = place.confirmed_flush_lsn WHERE s.name = start_sidecar.source;
    RAISE WARNING '%', lost_range USING HINT = 'The copies concerned are stale. Fill each again with anabranch.resume.';
  END IF;

  UPDATE anabranch.source AS s
  SET token = s.token + 1, timeline = current_line, slot = start_sidecar.slot, publication = start_sidecar.publication,
      sidecar_host = start_sidecar.host, sidecar_pid = start_sidecar.pid, sidecar_version = start_sidecar.version,
      started_at = now()
  WHERE s.name = start_sidecar.source
  RETURNING s.token, s.lsn INTO start_sidecar.token, start_sidecar.lsn;
  INSERT INTO anabranch.heartbeat AS h (source, seen_at) VALUES (start_sidecar.source, now())
  ON CONFLICT ON CONSTRAINT heartbeat_pkey DO UPDATE SET seen_at = excluded.seen_at;
END
$$;
COMMENT ON FUNCTION anabranch.start_sidecar(text, text, text, text, int, text) IS
  'announces a sidecar: checks its slot, gives it the token that fences older ones and the position to start from';

CREATE FUNCTION anabranch.heartbeat(source text, token bigint, keep_moving boolean DEFAULT false) RETURNS pg_catalog.pg_lsn
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  message   pg_lsn;
  before_it timestamptz := clock_timestamp();
BEGIN
  IF NOT EXISTS (SELECT FROM anabranch.source AS s WHERE s.name = heartbeat.source AND s.token = heartbeat.token) THEN
    RAISE EXCEPTION 'token % is no longer valid', heartbeat.token
      USING ERRCODE = 'AN001', DETAIL = 'Another sidecar has taken over this source.',
            HINT = 'Run one sidecar per database; the view anabranch.sources names the one that is in charge.';
  END IF;
  IF keep_moving THEN
    message := pg_logical_emit_message(false, 'anabranch', '');
  END IF;
  UPDATE anabranch.heartbeat AS h SET seen_at = before_it, lsn = message WHERE h.source = heartbeat.source;
  -- REASSIGN OWNED changes the owner of views without an event trigger's noticing.
  PERFORM anabranch.keep_grants(ARRAY(SELECT d.copy FROM anabranch.definition AS d));
  RETURN message;
END
$$;
COMMENT ON FUNCTION anabranch.heartbeat(text, bigint, boolean) IS
  'sign of life of the sidecar, about once a second and not on the connection that applies; keep_moving: also writes a message, so that an idle stream moves';

CREATE FUNCTION anabranch.begin_batch(source text, token bigint,
                                      OUT snapshot pg_catalog.pg_snapshot, OUT flush_lsn pg_catalog.pg_lsn)
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_begin_batch';
COMMENT ON FUNCTION anabranch.begin_batch(text, bigint) IS
  'first call of a batch''s transaction: locks the source, checks the token, tells what is visible';

CREATE FUNCTION anabranch.end_batch(source text, token bigint, lsn pg_catalog.pg_lsn, commit_time timestamptz,
                                    transactions bigint, rows bigint) RETURNS void
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_end_batch';
COMMENT ON FUNCTION anabranch.end_batch(text, bigint, pg_catalog.pg_lsn, timestamptz, bigint, bigint) IS
  'last call of a batch''s transaction: records the position its changes reach';

CREATE FUNCTION anabranch.begin_copy_batch(copy oid, source text, token bigint, OUT lsn pg_catalog.pg_lsn, OUT state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- The copy's row is locked and the source's is only read: batches of the live copies are never held up. Of two workers
  -- (one of a sidecar that was thought dead) the later sees that the position has moved, and gives up.
  SELECT p.lsn, p.state INTO begin_copy_batch.lsn, begin_copy_batch.state
  FROM anabranch.progress AS p WHERE p.copy = begin_copy_batch.copy::regclass FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no copy with OID % to go on with', begin_copy_batch.copy USING ERRCODE = 'AN002';
  END IF;
  IF NOT EXISTS (SELECT FROM anabranch.source AS s
                 WHERE s.name = begin_copy_batch.source AND s.token = begin_copy_batch.token) THEN
    RAISE EXCEPTION 'token % is no longer valid', begin_copy_batch.token
      USING ERRCODE = 'AN001', DETAIL = 'Another sidecar has taken over this source.',
            HINT = 'Run one sidecar per database; the view anabranch.sources names the one that is in charge.';
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.begin_copy_batch(oid, text, bigint) IS
  'first call of a transaction of a copy that is filled or catching up: locks its progress, checks the token, tells its position';

CREATE FUNCTION anabranch.set_copy_position(copy oid, lsn pg_catalog.pg_lsn) RETURNS void
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_set_copy_position';
COMMENT ON FUNCTION anabranch.set_copy_position(oid, pg_catalog.pg_lsn) IS
  'records the position of one copy that is catching up, in the transaction of its changes';

CREATE FUNCTION anabranch.set_aside(copy oid, state text, lsn pg_catalog.pg_lsn, sqlstate text, reason text,
                                    failed_lsn pg_catalog.pg_lsn DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF set_aside.state IS NULL OR set_aside.state NOT IN ('paused', 'failed', 'stale', 'catching_up', 'waiting') THEN
    RAISE EXCEPTION 'a copy cannot be set aside as "%"', set_aside.state USING ERRCODE = 'invalid_parameter_value';
  END IF;
  UPDATE anabranch.progress AS p
  SET state = set_aside.state,
      lsn = coalesce(set_aside.lsn, CASE p.state WHEN 'live' THEN greatest(p.lsn, s.lsn) ELSE p.lsn END),
      sqlstate = set_aside.sqlstate, reason = set_aside.reason, failed_lsn = set_aside.failed_lsn, changed_at = now()
  FROM anabranch.source AS s
  WHERE s.name = 'home' AND p.copy = set_aside.copy::regclass;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no copy with OID % that could be set aside', set_aside.copy USING ERRCODE = 'undefined_object';
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.set_aside(oid, text, pg_catalog.pg_lsn, text, text, pg_catalog.pg_lsn) IS
  'takes a copy out of the batches: paused, failed, stale, catching_up or waiting, with code and reason';

CREATE FUNCTION anabranch.unreadable(owner oid, relation oid, columns int2[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN c.oid IS NULL THEN NULL  -- the event trigger's record says that, in order with the rows
    WHEN r.oid IS NULL THEN 'the owner of the copy is gone'
    WHEN EXISTS (SELECT FROM unnest($3) AS column_number WHERE NOT coalesce(has_column_privilege($1, $2, column_number, 'SELECT'), false))
      THEN format('role %I may not read every column it needs of table %s', r.rolname, $2::regclass)
    WHEN c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
         AND (c.relforcerowsecurity OR NOT pg_has_role($1, c.relowner, 'USAGE'))
      THEN format('row-level security of table %s applies to role %I', $2::regclass, r.rolname)
  END
  FROM (SELECT) AS one LEFT JOIN pg_class AS c ON c.oid = $2 LEFT JOIN pg_roles AS r ON r.oid = $1
$$;
COMMENT ON FUNCTION anabranch.unreadable(oid, oid, int2[]) IS
  'why a role may not read these columns of a table in full; NULL when it may';

CREATE FUNCTION anabranch.copies_to_apply()
RETURNS TABLE (copy oid, name text, id int, state text, requested text, lsn pg_catalog.pg_lsn, fill_slot text, class text,
               ordinal int, relation oid, relation_name text, columns int2[], key int2[], old_rows text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.copy, d.copy::regclass::text, d.id, p.state, d.requested,
         CASE p.state WHEN 'live' THEN greatest(p.lsn, h.lsn) ELSE p.lsn END,
         p.fill_slot, d.class, s.ordinal, s.relation, s.relation::regclass::text, s.columns, s.key, s.old_rows,
         anabranch.unreadable(v.relowner, s.relation, s.columns)
  FROM anabranch.definition AS d
  JOIN anabranch.progress AS p ON p.copy = d.copy
  JOIN anabranch.definition_source AS s ON s.copy = d.copy
  LEFT JOIN pg_class AS v ON v.oid = d.copy
  LEFT JOIN anabranch.source AS h ON h.name = 'home'
  ORDER BY d.id, s.ordinal
$$;
COMMENT ON FUNCTION anabranch.copies_to_apply() IS
  'every copy with each of its sources, for the sidecar; problem: a right that the copy''s owner has lost';

------------------------------------------------------------------------------------------------------------- copying

CREATE FUNCTION anabranch.apply(copy oid, delta bytea) RETURNS bigint
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_apply';
COMMENT ON FUNCTION anabranch.apply(oid, bytea) IS
  'folds and merges changed rows (a Delta of extension/delta.proto) into a copy; returns how many signed rows';

CREATE FUNCTION anabranch.apply_filling(copy oid, delta bytea) RETURNS bigint
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_apply_filling';
COMMENT ON FUNCTION anabranch.apply_filling(oid, bytea) IS
  'the same while the copy is filled: a row counts if its chunk has been read and had not seen its transaction';

CREATE FUNCTION anabranch.fill_start(copy oid, slot text, lsn pg_catalog.pg_lsn) RETURNS void
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_fill_start';
COMMENT ON FUNCTION anabranch.fill_start(oid, text, pg_catalog.pg_lsn) IS
  'begins to fill a copy from nothing, after waiting for transactions that wrote to its sources before they were published';

CREATE FUNCTION anabranch.fill_chunk(copy oid, max_rows int, OUT ordinal int, OUT rows bigint, OUT done boolean)
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_fill_chunk';
COMMENT ON FUNCTION anabranch.fill_chunk(oid, int) IS
  'reads the next chunk of the sources of a copy that is being filled; done: there is nothing left to read';

CREATE FUNCTION anabranch.show(copy oid, lsn pg_catalog.pg_lsn) RETURNS void
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_show';
COMMENT ON FUNCTION anabranch.show(oid, pg_catalog.pg_lsn) IS
  'a filled copy joins the live ones at this position, and its rows appear';

------------------------------------------------------------------------------------------------------ data definition

CREATE FUNCTION anabranch.shadow_for(relation oid) RETURNS regclass
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_shadow_for';
COMMENT ON FUNCTION anabranch.shadow_for(oid) IS 'finds or makes the empty relation with the columns of a source';

CREATE FUNCTION anabranch.renew_shadow(relation oid, shadow oid) RETURNS boolean
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_renew_shadow';
COMMENT ON FUNCTION anabranch.renew_shadow(oid, oid) IS 'makes a shadow anew if it no longer has the columns of its source';

CREATE FUNCTION anabranch.column_definitions(relation oid, columns int2[]) RETURNS text[]
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
  SELECT array_agg(CASE WHEN NOT a.attisdropped THEN
                     format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
                     || CASE WHEN l.oid IS NOT NULL THEN format(' COLLATE %I.%I', n.nspname, l.collname) ELSE '' END
                   END ORDER BY wanted.ordinal)
  FROM unnest($2) WITH ORDINALITY AS wanted (number, ordinal)
  LEFT JOIN pg_attribute AS a ON a.attrelid = $1 AND a.attnum = wanted.number
  LEFT JOIN pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_collation AS l ON l.oid = a.attcollation AND a.attcollation <> t.typcollation
  LEFT JOIN pg_namespace AS n ON n.oid = l.collnamespace
$$;
COMMENT ON FUNCTION anabranch.column_definitions(oid, int2[]) IS
  'name, type and collation of columns, NULL for one that is gone: what a definition was made for';

CREATE FUNCTION anabranch.retyped_columns(command pg_catalog.pg_ddl_command,
                                          OUT relation oid, OUT number int2, OUT by_expression boolean)
RETURNS SETOF record
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_retyped_columns';
COMMENT ON FUNCTION anabranch.retyped_columns(pg_catalog.pg_ddl_command) IS
  'the columns that a command has given a type, and whether by an expression (USING)';

CREATE FUNCTION anabranch.leaves(relation oid) RETURNS SETOF oid
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE below (oid) AS (
    SELECT inhrelid FROM pg_inherits WHERE inhparent = $1 AND NOT inhdetachpending
    UNION
    SELECT i.inhrelid FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.oid AND NOT i.inhdetachpending)
  SELECT b.oid FROM below AS b JOIN pg_class AS c ON c.oid = b.oid WHERE c.relkind <> 'p'
$$;
COMMENT ON FUNCTION anabranch.leaves(oid) IS 'partitions and inheriting tables below a table that hold rows themselves';

CREATE FUNCTION anabranch.note_leaves(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM anabranch.source_leaf AS l
  WHERE l.relation = $1 AND l.leaf NOT IN (SELECT anabranch.leaves($1));
  INSERT INTO anabranch.source_leaf SELECT $1, leaf FROM anabranch.leaves($1) AS leaf ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION anabranch.note_leaves(oid) IS 'remembers the partitions of a source, so that the event trigger can tell which have come or gone';

CREATE FUNCTION anabranch.holds_rows(relation oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  result boolean;
BEGIN
  IF (SELECT relkind FROM pg_class WHERE oid = $1) IS DISTINCT FROM 'r' THEN
    RETURN true;  -- foreign or gone: nobody can tell
  END IF;
  IF pg_relation_size($1) = 0 THEN
    RETURN false;
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RETURN true;  -- an old snapshot does not see what was written since
  END IF;
  EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %s)', $1::regclass) INTO result;
  RETURN result;
END
$$;
COMMENT ON FUNCTION anabranch.holds_rows(oid) IS 'whether a table has rows; true if nobody can tell';

CREATE FUNCTION anabranch.identity_gap(relation oid, source oid, columns int2[], key int2[], old_rows text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  -- A table that publishes updates and has no replica identity at all refuses UPDATE and DELETE: nothing can be missed.
  SELECT CASE
    WHEN c.relreplident = 'f' OR i.names IS NULL THEN NULL
    WHEN $5 = 'full' THEN format('the replica identity of table %1$s is not FULL; run ALTER TABLE %1$s REPLICA IDENTITY FULL', $1::regclass)
    WHEN NOT (SELECT array_agg(a.attname) FROM pg_attribute AS a
              WHERE a.attrelid = $2 AND a.attnum = ANY (CASE WHEN $4 = '{}' THEN $3 ELSE $4 END)) <@ i.names
      THEN format('the replica identity of table %s does not have the columns that the copy needs', $1::regclass)
  END
  FROM pg_class AS c
  CROSS JOIN LATERAL (SELECT array_agg(a.attname) FROM pg_index AS x
                      JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey::int2[])
                      WHERE x.indrelid = c.oid
                        AND CASE c.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident END) AS i (names)
  WHERE c.oid = $1
$$;
COMMENT ON FUNCTION anabranch.identity_gap(oid, oid, int2[], int2[], text) IS
  'why the old rows that a table (or a partition of a source) writes to the WAL do not suffice for a copy; NULL when they do';

CREATE FUNCTION anabranch.source_gap(relation oid, columns int2[], key int2[], old_rows text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN $3 <> '{}' AND NOT EXISTS (
      SELECT FROM pg_index AS x
      WHERE x.indrelid = $1 AND x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
        AND (x.indkey::int2[])[0:x.indnkeyatts - 1] <@ $3)
      THEN format('table %s has lost the key that the copy tells its rows by', $1::regclass)
    ELSE (SELECT anabranch.identity_gap($1, $1, $2, $3, $4) FROM pg_class WHERE oid = $1 AND relkind <> 'p')
  END
$$;
COMMENT ON FUNCTION anabranch.source_gap(oid, int2[], int2[], text) IS
  'why the rows of a source can no longer be told apart in the stream; NULL when they can. Of a partitioned table ask identity_gap for each leaf as well';

CREATE FUNCTION anabranch.misfits(copy oid, relation oid, columns int2[], column_definitions text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
  SELECT CASE
    WHEN c.oid IS NULL THEN 'a source table was dropped'
    WHEN c.relpersistence <> 'p' THEN format('table %s is no longer logged', $2::regclass)
    WHEN c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
         AND (c.relforcerowsecurity OR NOT pg_has_role(v.relowner, c.relowner, 'USAGE'))
      THEN format('row-level security of table %s now applies to role %I', $2::regclass, r.rolname)
    ELSE (
      SELECT CASE
          WHEN a.attnum IS NULL OR a.attisdropped THEN format('column %s of table %s was dropped', was.name, $2::regclass)
          WHEN quote_ident(a.attname) <> was.name
            THEN format('column %s of table %s was renamed to %I', was.name, $2::regclass, a.attname)
          ELSE format('column %s of table %s has changed its type: it was "%s", it is "%s"',
                      was.name, $2::regclass, was.definition, now.definition)
        END
      FROM unnest($3, $4, anabranch.column_definitions($2, $3)) WITH ORDINALITY AS now (number, was, definition, ordinal)
      CROSS JOIN LATERAL (SELECT now.was, substring(now.was from '^("(?:[^"]|"")*"|[^ ]+) ')) AS was (definition, name)
      LEFT JOIN pg_attribute AS a ON a.attrelid = $2 AND a.attnum = now.number
      WHERE now.definition IS DISTINCT FROM now.was AND now.was IS NOT NULL
      ORDER BY now.ordinal LIMIT 1)
  END
  FROM (SELECT) AS one
  LEFT JOIN pg_class AS c ON c.oid = $2
  LEFT JOIN pg_class AS v ON v.oid = $1
  LEFT JOIN pg_roles AS r ON r.oid = v.relowner
$$;
COMMENT ON FUNCTION anabranch.misfits(oid, oid, int2[], text[]) IS
  'how a source no longer is what a copy was defined for; NULL when it is';

CREATE FUNCTION anabranch.warn_stale(copies regclass[], reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE WARNING '% now stale: %', CASE cardinality($1) WHEN 1 THEN 'copy ' ELSE 'copies ' END || array_to_string($1, ', ')
                                  || CASE cardinality($1) WHEN 1 THEN ' is' ELSE ' are' END, $2
    USING HINT = 'Where rows came or went, fill the copy again with anabranch.resume. '
                 'Where a column changed, undo that first, or drop the copy and create it anew.';
END
$$;
COMMENT ON FUNCTION anabranch.warn_stale(regclass[], text) IS 'tells whoever gave a command what it did to copies';

CREATE FUNCTION anabranch.set_stale(copies regclass[], reason text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE anabranch.progress AS p
  SET state = 'stale', sqlstate = 'AN004', reason = $2 || '; fill the copy again with anabranch.resume', changed_at = now()
  WHERE p.copy = ANY ($1)
$$;
COMMENT ON FUNCTION anabranch.set_stale(regclass[], text) IS
  'makes copies stale at once, where a record in the stream would not arrive';

CREATE FUNCTION anabranch.record_ddl(relation oid, tag text, identity text, stale regclass[], reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  record_id bigint;
BEGIN
  IF anabranch.unpublished('anabranch.ddl'::regclass) IS NOT NULL THEN
    PERFORM anabranch.set_stale($4, $5);
  END IF;
  INSERT INTO anabranch.ddl AS d (relation, tag, identity, stale, reason) VALUES ($1, $2, $3, $4, $5) RETURNING d.id INTO record_id;
  DELETE FROM anabranch.ddl AS d WHERE d.id = record_id;
  PERFORM anabranch.warn_stale($4, $5);
END
$$;
COMMENT ON FUNCTION anabranch.record_ddl(oid, text, text, regclass[], text) IS
  'tells the sidecar, in order with the rows, and the user which copies a command has made stale';

-- A key is often replaced in two commands of one transaction. Whether one is missing is asked when it commits.
CREATE FUNCTION anabranch.settle() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  DELETE FROM anabranch.unsettled AS u WHERE u.relation = new.relation AND u.leaf = new.leaf;
  FOR found IN
    SELECT s.relation, array_agg(s.copy ORDER BY s.copy::oid) AS copies, gap
    FROM anabranch.definition_source AS s JOIN anabranch.progress AS p ON p.copy = s.copy
    CROSS JOIN LATERAL (SELECT CASE new.leaf WHEN new.relation
        THEN anabranch.source_gap(s.relation, s.columns, s.key, s.old_rows)
        ELSE anabranch.identity_gap(new.leaf, s.relation, s.columns, s.key, s.old_rows) END) AS g (gap)
    WHERE s.relation = new.relation AND p.state <> 'stale' AND gap IS NOT NULL
    GROUP BY s.relation, gap
  LOOP
    PERFORM anabranch.record_ddl(found.relation, new.tag, found.relation::text, found.copies, found.gap);
  END LOOP;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION anabranch.settle() IS 'at the end of a transaction: names the copies whose rows can no longer be told apart';
CREATE CONSTRAINT TRIGGER settle AFTER INSERT ON anabranch.unsettled
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION anabranch.settle();
ALTER TABLE anabranch.unsettled ENABLE ALWAYS TRIGGER settle;
COMMENT ON TRIGGER settle ON anabranch.unsettled IS 'looks again when the transaction ends';

CREATE FUNCTION anabranch.keep_shadows(relations oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  pair record;
BEGIN
  FOR pair IN
    SELECT DISTINCT s.relation, s.shadow FROM anabranch.definition_source AS s
    JOIN pg_class AS r ON r.oid = s.relation JOIN pg_class AS h ON h.oid = s.shadow
    WHERE s.relation = ANY ($1)
  LOOP
    -- Keeping a shadow is housekeeping: it must not be the reason why somebody's ALTER TABLE fails.
    BEGIN
      PERFORM anabranch.renew_shadow(pair.relation, pair.shadow);
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'could not renew the shadow of table %: %', pair.relation::regclass, SQLERRM;
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.keep_shadows(oid[]) IS 'gives shadows the columns that their sources now have';

CREATE FUNCTION anabranch.drop_unused() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  unused regclass;
BEGIN
  DELETE FROM anabranch.source_leaf AS l
  WHERE NOT EXISTS (SELECT FROM anabranch.definition_source AS s WHERE s.relation = l.relation);
  DELETE FROM anabranch.generation AS g WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = g.relation);
  FOR unused IN
    SELECT c.oid FROM pg_class AS c
    WHERE c.relnamespace = 'anabranch'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^shadow_[0-9]+$'
      AND NOT EXISTS (SELECT FROM anabranch.definition_source AS s JOIN pg_class AS r ON r.oid = s.relation
                      WHERE s.shadow = c.oid)
  LOOP
    EXECUTE format('DROP TABLE %s', unused);
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.drop_unused() IS 'drops shadows and notes of tables that no definition reads any more, and shadows of dropped tables';

CREATE FUNCTION anabranch.unpublish(relations oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
  member record;
BEGIN
  FOR member IN
    SELECT p.pubname, r.prrelid::regclass AS relation
    FROM pg_publication AS p JOIN pg_publication_rel AS r ON r.prpubid = p.oid
    WHERE p.pubname = coalesce((SELECT s.publication FROM anabranch.source AS s WHERE s.name = 'home'), 'anabranch')
      AND r.prrelid = ANY ($1)
      AND NOT EXISTS (SELECT FROM anabranch.definition_source AS s WHERE s.relation = r.prrelid)
  LOOP
    -- A table too many in the publication costs some WAL reading; waiting for its lock would cost more.
    BEGIN
      EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', member.pubname, member.relation);
    EXCEPTION WHEN OTHERS THEN
      RAISE NOTICE 'table % stays in publication "%": %', member.relation, member.pubname, SQLERRM;
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.unpublish(oid[]) IS 'takes tables that no copy reads any more out of the publication';

CREATE FUNCTION anabranch.forget(copies oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  relations oid[] := ARRAY(SELECT DISTINCT s.relation FROM anabranch.definition_source AS s WHERE s.copy = ANY ($1));
  gone      record;
BEGIN
  -- Foreign keys do not cascade in a session that replays another server's commands.
  DELETE FROM anabranch.fill_chunk AS f WHERE f.copy = ANY ($1);
  DELETE FROM anabranch.progress AS p WHERE p.copy = ANY ($1);
  DELETE FROM anabranch.definition_source AS s WHERE s.copy = ANY ($1);
  -- The definition goes first: the drops below fire the event trigger, and it must find nothing left to do.
  FOR gone IN DELETE FROM anabranch.definition AS d WHERE d.copy = ANY ($1) RETURNING d.copy, d.state LOOP
    IF EXISTS (SELECT FROM pg_class WHERE oid = gone.copy) THEN
      EXECUTE format('DROP VIEW %s', gone.copy);
    END IF;
    IF EXISTS (SELECT FROM pg_class WHERE oid = gone.state) THEN
      EXECUTE format('DROP TABLE %s', gone.state);
    END IF;
  END LOOP;
  PERFORM anabranch.drop_unused();
  PERFORM anabranch.unpublish(relations);
END
$$;
COMMENT ON FUNCTION anabranch.forget(oid[]) IS 'removes copies with all that belongs to them; fails when something else depends on them';

CREATE FUNCTION anabranch.keep_grants(copies oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  change record;
BEGIN
  FOR change IN
    SELECT d.state, v.relowner::regrole AS owner, a.former
    FROM anabranch.definition AS d
    JOIN pg_class AS v ON v.oid = d.copy
    JOIN pg_class AS t ON t.oid = d.state
    CROSS JOIN LATERAL (
      SELECT string_agg(DISTINCT x.grantee::regrole::text, ', ') FROM aclexplode(t.relacl) AS x
      WHERE x.grantee NOT IN (0, t.relowner, v.relowner)) AS a (former)
    WHERE d.copy = ANY ($1) AND v.relowner <> t.relowner
      AND (a.former IS NOT NULL OR NOT has_table_privilege(v.relowner, t.oid, 'SELECT'))
  LOOP
    IF change.former IS NOT NULL THEN
      EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', change.state, change.former);
    END IF;
    EXECUTE format('GRANT SELECT ON TABLE %s TO %s', change.state, change.owner);
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.keep_grants(oid[]) IS 'lets the owner of a copy, and only him, read its state table';

CREATE FUNCTION anabranch.unpublished(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN p.oid IS NULL THEN format('there is no publication "%s" any more', named.publication)
    WHEN NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)
      THEN format('publication "%s" leaves out an operation', p.pubname)
    WHEN NOT p.puballtables
     AND NOT EXISTS (SELECT FROM pg_publication_rel AS r
                     WHERE r.prpubid = p.oid AND r.prrelid = c.oid AND r.prqual IS NULL AND r.prattrs IS NULL)
     AND NOT EXISTS (SELECT FROM pg_publication_namespace AS n WHERE n.pnpubid = p.oid AND n.pnnspid = c.relnamespace)
      THEN format('publication "%s" no longer has every change of table %s', p.pubname, c.oid::regclass)
  END
  FROM (SELECT coalesce((SELECT s.publication FROM anabranch.source AS s WHERE s.name = 'home'), 'anabranch')) AS named (publication)
  CROSS JOIN pg_class AS c
  LEFT JOIN pg_publication AS p ON p.pubname = named.publication
  WHERE c.oid = $1
$$;
COMMENT ON FUNCTION anabranch.unpublished(oid) IS 'why changes of a table do not reach the sidecar; NULL when they do';

-- Here a record in the stream would be no use: the table of records is published no better than the others.
CREATE FUNCTION anabranch.judge_publication(relations oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  FOR found IN
    SELECT array_agg(DISTINCT s.copy) AS copies, gap
    FROM anabranch.definition_source AS s JOIN anabranch.progress AS p ON p.copy = s.copy
    CROSS JOIN LATERAL anabranch.unpublished(s.relation) AS gap
    WHERE p.state <> 'stale' AND gap IS NOT NULL AND s.relation = ANY ($1)
    GROUP BY gap
  LOOP
    PERFORM anabranch.set_stale(found.copies, found.gap);
    PERFORM anabranch.warn_stale(found.copies, found.gap);
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.judge_publication(oid[]) IS 'makes the copies stale whose sources are no longer published in full';

CREATE FUNCTION anabranch.judge_command(tag text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- What may change the names that definitions were written with, without naming a table.
  touches_all boolean := judge_command.tag NOT IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER FOREIGN TABLE', 'CREATE TABLE',
                                        'CREATE FOREIGN TABLE', 'CREATE SCHEMA');
  touched     oid[];
  sources     oid[];
  retyped     oid[];
  found       record;
BEGIN
  IF judge_command.tag LIKE '%PUBLICATION' OR judge_command.tag = 'DROP OWNED' THEN
    PERFORM anabranch.judge_publication(ARRAY(SELECT DISTINCT s.relation FROM anabranch.definition_source AS s));
    RETURN;
  END IF;
  touched := ARRAY(SELECT DISTINCT c.objid FROM pg_event_trigger_ddl_commands() AS c
                   WHERE c.classid = 'pg_class'::regclass AND c.objid IS NOT NULL);

  PERFORM anabranch.keep_grants(touched);

  -- A source is concerned when the command names it, a table above it, or one that is or was below it.
  sources := ARRAY(
    WITH RECURSIVE above (source, oid) AS (
      SELECT DISTINCT s.relation::oid, s.relation::oid FROM anabranch.definition_source AS s
      UNION
      SELECT a.source, i.inhparent FROM above AS a JOIN pg_inherits AS i ON i.inhrelid = a.oid),
    below (source, oid) AS (
      SELECT DISTINCT s.relation::oid, s.relation::oid FROM anabranch.definition_source AS s
      UNION
      SELECT b.source, i.inhrelid FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.oid)
    SELECT DISTINCT r.source
    FROM (SELECT * FROM above UNION ALL SELECT * FROM below UNION ALL SELECT l.relation, l.leaf FROM anabranch.source_leaf AS l)
      AS r (source, oid)
    WHERE r.oid = ANY (touched) OR touches_all);
  IF sources = '{}' THEN
    RETURN;
  END IF;

  -- ON CONFLICT does not exist for a table that the decoder reads; the command's own lock keeps others away.
  retyped := ARRAY(SELECT DISTINCT r.relation
                   FROM pg_event_trigger_ddl_commands() AS c, anabranch.retyped_columns(c.command) AS r
                   WHERE r.relation = ANY (sources));
  UPDATE anabranch.generation AS g SET generation = g.generation + 1 WHERE g.relation = ANY (retyped);
  INSERT INTO anabranch.generation AS g (relation, generation)
  SELECT new.relation, 1 FROM unnest(retyped) AS new (relation)
  WHERE NOT EXISTS (SELECT FROM anabranch.generation AS g WHERE g.relation = new.relation);

  FOR found IN
    WITH changed AS (
      SELECT r.relation, r.number FROM pg_event_trigger_ddl_commands() AS c, anabranch.retyped_columns(c.command) AS r
      WHERE r.by_expression),
    moved AS (
      SELECT coalesce(l.relation, n.relation) AS relation, coalesce(l.leaf, n.leaf) AS leaf, l.leaf IS NULL AS attached
      FROM (SELECT * FROM anabranch.source_leaf WHERE relation = ANY (sources)) AS l
      FULL JOIN (SELECT relation, leaf FROM unnest(sources) AS relation, anabranch.leaves(relation) AS leaf) AS n
        ON n.relation = l.relation AND n.leaf = l.leaf
      WHERE (l.leaf IS NULL OR n.leaf IS NULL) AND NOT touches_all),
    reasons AS (
      SELECT s.copy, s.relation, coalesce(
        anabranch.misfits(s.copy, s.relation, s.columns, s.column_definitions),
        (SELECT format('column %I of table %s got new values', a.attname, s.relation)
         FROM changed AS c JOIN pg_attribute AS a ON a.attrelid = c.relation AND a.attnum = c.number
         WHERE c.relation = s.relation AND c.number = ANY (s.columns) LIMIT 1),
        (SELECT format('table %s, which holds rows, was %s', m.leaf::regclass,
                       CASE WHEN m.attached THEN 'attached to ' ELSE 'detached from ' END || s.relation)
         FROM moved AS m WHERE m.relation = s.relation AND anabranch.holds_rows(m.leaf) LIMIT 1),
        -- A partition's rows are published as its root's; those of a table that merely inherits are not.
        (SELECT format('table %s inherits from table %s', m.leaf::regclass, s.relation)
         FROM moved AS m JOIN pg_class AS c ON c.oid = m.leaf AND NOT c.relispartition
         WHERE m.relation = s.relation AND m.attached LIMIT 1)) AS reason
      FROM anabranch.definition_source AS s JOIN anabranch.progress AS p ON p.copy = s.copy
      WHERE p.state <> 'stale' AND s.relation = ANY (sources))
    SELECT r.relation, array_agg(r.copy ORDER BY r.copy::oid) AS copies, r.reason
    FROM reasons AS r WHERE r.reason IS NOT NULL GROUP BY r.relation, r.reason
  LOOP
    PERFORM anabranch.record_ddl(found.relation, judge_command.tag, found.relation::text, found.copies, found.reason);
  END LOOP;

  PERFORM anabranch.judge_publication(sources);

  INSERT INTO anabranch.unsettled AS u (relation, leaf, tag)
  SELECT s.relation, s.relation, judge_command.tag FROM anabranch.definition_source AS s
  WHERE s.relation = ANY (touched) AND anabranch.source_gap(s.relation, s.columns, s.key, s.old_rows) IS NOT NULL
  UNION
  SELECT s.relation, l.leaf, judge_command.tag
  FROM anabranch.definition_source AS s JOIN anabranch.source_leaf AS l ON l.relation = s.relation
  WHERE l.leaf = ANY (touched) AND anabranch.identity_gap(l.leaf, s.relation, s.columns, s.key, s.old_rows) IS NOT NULL
  ON CONFLICT DO NOTHING;

  -- A new, empty partition is harmless as long as nobody updates its rows: say it in time.
  FOR found IN
    SELECT leaf::regclass AS leaf, min(gap) AS gap
    FROM anabranch.definition_source AS s, anabranch.leaves(s.relation) AS leaf,
         anabranch.identity_gap(leaf, s.relation, s.columns, s.key, s.old_rows) AS gap
    WHERE s.relation = ANY (sources) AND leaf NOT IN (SELECT l.leaf FROM anabranch.source_leaf AS l) AND gap IS NOT NULL
    GROUP BY leaf
  LOOP
    RAISE WARNING '%', found.gap
      USING DETAIL = 'An UPDATE or DELETE there would make the copies that need it stale.',
            HINT = 'Give it the replica identity that the other partitions have.';
  END LOOP;

  IF NOT touches_all THEN
    PERFORM anabranch.note_leaves(source) FROM unnest(sources) AS source;
  END IF;
  PERFORM anabranch.keep_shadows(sources);
END
$$;
COMMENT ON FUNCTION anabranch.judge_command(text) IS
  'after a command that may change a source: names the copies it makes stale, counts type changes, renews shadows, follows new owners';

CREATE FUNCTION anabranch.judge_drop(tag text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  copies oid[];
  found  record;
BEGIN
  copies := ARRAY(
    SELECT d.copy FROM anabranch.definition AS d
    WHERE EXISTS (SELECT FROM pg_event_trigger_dropped_objects() AS o
                  WHERE o.classid = 'pg_class'::regclass AND o.objsubid = 0 AND o.objid IN (d.copy, d.state)));
  IF copies <> '{}' THEN
    BEGIN
      PERFORM anabranch.forget(copies);
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'something of a dropped copy stays: %', sqlerrm
        USING HINT = 'Drop the tables of schema anabranch_data that no row of anabranch.copies names.';
      DELETE FROM anabranch.fill_chunk AS f WHERE f.copy = ANY (copies);
      DELETE FROM anabranch.progress AS p WHERE p.copy = ANY (copies);
      DELETE FROM anabranch.definition_source AS s WHERE s.copy = ANY (copies);
      DELETE FROM anabranch.definition AS d WHERE d.copy = ANY (copies);
    END;
  END IF;

  -- What an ALTER drops is judged when it has ended, by follow_command.
  FOR found IN
    WITH dropped AS (
      SELECT o.objid, o.objsubid, o.object_identity FROM pg_event_trigger_dropped_objects() AS o
      WHERE o.classid = 'pg_class'::regclass AND NOT o.is_temporary AND judge_drop.tag NOT LIKE 'ALTER %'),
    reasons AS (
      SELECT s.copy, s.relation, coalesce(
        (SELECT format('table %s was dropped', o.object_identity) FROM dropped AS o
         WHERE o.objid = s.relation AND o.objsubid = 0 LIMIT 1),
        (SELECT format('table %s was dropped from table %s', o.object_identity, s.relation)
         FROM dropped AS o JOIN anabranch.source_leaf AS l ON l.relation = s.relation AND l.leaf = o.objid
         WHERE o.objsubid = 0 LIMIT 1),
        CASE WHEN EXISTS (SELECT FROM dropped AS o WHERE o.objid = s.relation)
          THEN anabranch.misfits(s.copy, s.relation, s.columns, s.column_definitions) END) AS reason
      FROM anabranch.definition_source AS s JOIN anabranch.progress AS p ON p.copy = s.copy
      WHERE p.state <> 'stale')
    SELECT r.relation, array_agg(r.copy ORDER BY r.copy::oid) AS copies, r.reason
    FROM reasons AS r WHERE r.reason IS NOT NULL GROUP BY r.relation, r.reason
  LOOP
    PERFORM anabranch.record_ddl(found.relation, judge_drop.tag, found.relation::text, found.copies, found.reason);
  END LOOP;

  IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() AS o JOIN anabranch.definition_source AS s ON s.relation = o.objid
             WHERE o.classid = 'pg_class'::regclass AND o.objsubid = 0) THEN
    PERFORM anabranch.drop_unused();
  END IF;
  DELETE FROM anabranch.source_leaf AS l USING pg_event_trigger_dropped_objects() AS o
  WHERE o.classid = 'pg_class'::regclass AND o.objsubid = 0 AND o.objid = l.leaf;
END
$$;
COMMENT ON FUNCTION anabranch.judge_drop(text) IS
  'after a drop: removes the copies whose view or state table is gone, names the copies that lost a source';

-- Both triggers run as the owner of the extension: whoever changes a table has no rights on the tables above. Where the
-- judgement itself fails, the user's command goes on, and no copy is trusted any more: better stale than wrong.

CREATE FUNCTION anabranch.distrust(tag text, failure text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  copies regclass[] := ARRAY(SELECT p.copy FROM anabranch.progress AS p WHERE p.state <> 'stale' ORDER BY p.copy::oid);
BEGIN
  IF copies <> '{}' THEN
    PERFORM anabranch.record_ddl(0, $1, '', copies, format('it could not be told what %s has changed: %s', $1, $2));
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.distrust(text, text) IS 'makes every copy stale, because a command could not be judged';

CREATE FUNCTION anabranch.follow_command() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM anabranch.definition) THEN
    PERFORM anabranch.judge_command(tg_tag);
  END IF;
EXCEPTION WHEN OTHERS THEN
  PERFORM anabranch.distrust(tg_tag, sqlerrm);
END
$$;
COMMENT ON FUNCTION anabranch.follow_command() IS 'event trigger: see judge_command';

CREATE FUNCTION anabranch.follow_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM anabranch.definition) THEN
    PERFORM anabranch.judge_drop(tg_tag);
  END IF;
EXCEPTION WHEN OTHERS THEN
  PERFORM anabranch.distrust(tg_tag, sqlerrm);
END
$$;
COMMENT ON FUNCTION anabranch.follow_drop() IS 'event trigger: see judge_drop';

CREATE EVENT TRIGGER anabranch_follow_command ON ddl_command_end
  WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER FOREIGN TABLE', 'CREATE TABLE', 'CREATE FOREIGN TABLE', 'CREATE SCHEMA',
               'ALTER TYPE', 'ALTER DOMAIN', 'ALTER COLLATION', 'ALTER SCHEMA', 'ALTER EXTENSION',
               'ALTER PUBLICATION', 'DROP PUBLICATION', 'DROP OWNED')
  EXECUTE FUNCTION anabranch.follow_command();
COMMENT ON EVENT TRIGGER anabranch_follow_command IS 'keeps anabranch''s copies and shadows in step with data definition';
CREATE EVENT TRIGGER anabranch_follow_drop ON sql_drop EXECUTE FUNCTION anabranch.follow_drop();
COMMENT ON EVENT TRIGGER anabranch_follow_drop IS 'tells anabranch of dropped copies and sources';
-- Also in sessions that replay another server's commands.
ALTER EVENT TRIGGER anabranch_follow_command ENABLE ALWAYS;
ALTER EVENT TRIGGER anabranch_follow_drop ENABLE ALWAYS;

------------------------------------------------------------------------------------------------------------ requests

CREATE FUNCTION anabranch.notice_absence() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last timestamptz := (SELECT max(h.seen_at) FROM anabranch.heartbeat AS h);
BEGIN
  IF last > clock_timestamp() - interval '10 s' THEN
    RETURN;
  END IF;
  RAISE NOTICE 'no sidecar is running; it will be done when one starts'
    USING DETAIL = CASE WHEN last IS NULL THEN 'None has run in this database yet.' ELSE format('One was last seen at %s.', last) END,
          HINT = CASE WHEN last IS NULL THEN 'Run "anabranch init", then "anabranch run".' ELSE 'Run "anabranch run".' END;
END
$$;
COMMENT ON FUNCTION anabranch.notice_absence() IS 'raises a NOTICE when no sidecar has been seen for 10 s';

CREATE FUNCTION anabranch.carry_out_drop(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM anabranch.forget(ARRAY[$1]);
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_drop(oid) IS 'work of drop_aggregate_table, once its caller is checked';

CREATE FUNCTION anabranch.carry_out_pause(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM anabranch.progress AS p WHERE p.copy = $1) THEN
    RAISE EXCEPTION 'copy % is unbound: there is nothing to pause', $1::regclass USING ERRCODE = 'AN002';
  END IF;
  UPDATE anabranch.definition AS d SET requested = 'pause' WHERE d.copy = $1;
  PERFORM anabranch.notice_absence();
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_pause(oid) IS 'work of pause, once its caller is checked';

CREATE FUNCTION anabranch.rebind(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  source anabranch.definition_source;
  found  int2[];
BEGIN
  -- A dump leaves dropped columns out, so those behind them come back under other numbers: go by their definitions.
  FOR source IN SELECT * FROM anabranch.definition_source AS s WHERE s.copy = $1 LOOP
    IF anabranch.column_definitions(source.relation, source.columns) IS DISTINCT FROM source.column_definitions THEN
      found := ARRAY(
        SELECT a.attnum
        FROM unnest(source.column_definitions) WITH ORDINALITY AS was (definition, ordinal)
        JOIN pg_attribute AS a ON a.attrelid = source.relation AND a.attnum > 0 AND NOT a.attisdropped
         AND (anabranch.column_definitions(a.attrelid, ARRAY[a.attnum]))[1] = was.definition
        ORDER BY was.ordinal);
      IF cardinality(found) = cardinality(source.columns) THEN
        UPDATE anabranch.definition_source AS s
        SET columns = found, key = ARRAY(SELECT found[array_position(s.columns, k)] FROM unnest(s.key) AS k)
        WHERE s.copy = source.copy AND s.ordinal = source.ordinal;
      END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = source.shadow) AND EXISTS (SELECT FROM pg_class WHERE oid = source.relation) THEN
      UPDATE anabranch.definition_source AS s SET shadow = anabranch.shadow_for(s.relation)
      WHERE s.copy = source.copy AND s.ordinal = source.ordinal;
    END IF;
    PERFORM anabranch.note_leaves(source.relation);
  END LOOP;
  PERFORM anabranch.keep_shadows(ARRAY(SELECT s.relation FROM anabranch.definition_source AS s WHERE s.copy = $1));
END
$$;
COMMENT ON FUNCTION anabranch.rebind(oid) IS 'ties a definition to the columns and shadows of its sources as they are numbered now';

CREATE FUNCTION anabranch.relations_of(copy oid, OUT relation oid) RETURNS SETOF oid
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.relation FROM anabranch.definition_source AS s JOIN pg_class AS c ON c.oid = s.relation WHERE s.copy = $1
$$;
COMMENT ON FUNCTION anabranch.relations_of(oid) IS 'the tables that a copy reads, as far as they are there';

CREATE FUNCTION anabranch.require_fit(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  problem text;
BEGIN
  SELECT coalesce(anabranch.misfits(s.copy, s.relation, s.columns, s.column_definitions),
                  anabranch.unreadable(v.relowner, s.relation, s.columns),
                  anabranch.source_gap(s.relation, s.columns, s.key, s.old_rows),
                  (SELECT min(anabranch.identity_gap(leaf, s.relation, s.columns, s.key, s.old_rows))
                   FROM anabranch.leaves(s.relation) AS leaf))
  INTO problem
  FROM anabranch.definition_source AS s JOIN pg_class AS v ON v.oid = s.copy
  WHERE s.copy = $1
  ORDER BY 1 LIMIT 1;
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION 'copy % cannot be filled: %', $1::regclass, problem
      USING ERRCODE = 'AN004',
            HINT = format('Undo that change, or run SELECT anabranch.drop_aggregate_table(%L) and create it anew.', $1::regclass);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.require_fit(oid) IS 'raises AN004 unless every source of a copy is what the copy was defined for';

CREATE FUNCTION anabranch.carry_out_resume(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known text := (SELECT p.state FROM anabranch.progress AS p WHERE p.copy = $1);
BEGIN
  -- paused: the sidecar goes on from the copy's position, or fills it anew when the log no longer reaches back so far.
  IF known IS NULL OR known IN ('failed', 'stale') THEN
    PERFORM anabranch.rebind($1);
    PERFORM anabranch.require_fit($1);
    DELETE FROM anabranch.fill_chunk AS f WHERE f.copy = $1;
    DELETE FROM anabranch.progress AS p WHERE p.copy = $1;
    INSERT INTO anabranch.progress (copy, state) VALUES ($1, 'waiting');
  END IF;
  UPDATE anabranch.definition AS d SET requested = 'run' WHERE d.copy = $1;
  PERFORM anabranch.notice_absence();
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_resume(oid) IS 'work of resume, once its caller is checked';

CREATE FUNCTION anabranch.drop_aggregate_table(copy regclass) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_drop_aggregate_table';
COMMENT ON FUNCTION anabranch.drop_aggregate_table(regclass) IS
  'drops a copy: its view, its table, its definition; fails when another view depends on it';

CREATE FUNCTION anabranch.add_index(copy regclass, columns text[], method text DEFAULT 'btree') RETURNS regclass
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_add_index';
COMMENT ON FUNCTION anabranch.add_index(regclass, text[], text) IS
  'makes an index on columns of a copy; nothing can be applied to the copy while it is built';

CREATE FUNCTION anabranch.pause(copy regclass) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_pause';
COMMENT ON FUNCTION anabranch.pause(regclass) IS 'keeps a copy as it is until resume';

CREATE FUNCTION anabranch.resume(copy regclass) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_resume';
COMMENT ON FUNCTION anabranch.resume(regclass) IS
  'lets a paused copy go on; fills one anew that is failed, stale or restored from a dump';

----------------------------------------------------------------------------------------------------------- freshness

CREATE FUNCTION anabranch.wait_for(copy regclass, lsn pg_catalog.pg_lsn DEFAULT NULL, timeout interval DEFAULT '10 s')
RETURNS pg_catalog.pg_lsn
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_wait_for';
COMMENT ON FUNCTION anabranch.wait_for(regclass, pg_catalog.pg_lsn, interval) IS
  'waits until a copy has reached a position, or (NULL) holds all that is committed now; returns its position';

CREATE FUNCTION anabranch.is_fresh(copy regclass, lsn pg_catalog.pg_lsn) RETURNS boolean
LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_is_fresh';
COMMENT ON FUNCTION anabranch.is_fresh(regclass, pg_catalog.pg_lsn) IS 'whether a copy holds everything up to a position';

CREATE FUNCTION anabranch.assert_fresh(copy regclass, bound interval) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_assert_fresh';
COMMENT ON FUNCTION anabranch.assert_fresh(regclass, interval) IS
  'raises AN006 unless a copy holds everything that was committed longer than this ago';

--------------------------------------------------------------------------------------------------------------- views

CREATE FUNCTION anabranch.snapshot_holder(OUT holder text, OUT since timestamptz, OUT remedy text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT held.holder, held.since, held.remedy
  FROM (SELECT format('process %s of role %I (%s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), a.backend_type)),
               a.xact_start, format('SELECT pg_terminate_backend(%s)', a.pid)
        FROM pg_stat_activity AS a
        WHERE a.backend_xmin IS NOT NULL AND a.datname = current_database() AND a.backend_type <> 'walsender'
        UNION ALL
        SELECT format('prepared transaction "%s"', p.gid), p.prepared, format('ROLLBACK PREPARED %L', p.gid)
        FROM pg_prepared_xacts AS p WHERE p.database = current_database()) AS held (holder, since, remedy)
  WHERE held.since < clock_timestamp() - interval '1 minute'
  ORDER BY held.since
  LIMIT 1
$$;
COMMENT ON FUNCTION anabranch.snapshot_holder() IS
  'who has kept old row versions from being removed for longest, if for more than a minute';

CREATE VIEW anabranch.sources AS
SELECT s.name, s.slot, s.publication, s.system_identifier, s.timeline,
       s.lsn, s.commit_time, s.applied_at, s.applied_transactions, s.applied_rows,
       greatest(s.commit_time, CASE WHEN s.lsn >= h.lsn THEN h.seen_at END) AS current_as_of,
       pg_catalog.pg_wal_lsn_diff(here.lsn, s.lsn)::bigint AS lag_bytes,
       k.confirmed_flush_lsn AS confirmed_lsn, coalesce(k.active, false) AS slot_active, k.wal_status,
       pg_catalog.pg_wal_lsn_diff(here.lsn, k.restart_lsn)::bigint AS kept_wal_bytes,
       h.seen_at > pg_catalog.clock_timestamp() - interval '10 s' AS sidecar_running,
       h.seen_at, s.sidecar_host, s.sidecar_pid, s.sidecar_version, s.started_at
FROM anabranch.source AS s
CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn)
LEFT JOIN anabranch.heartbeat AS h ON h.source = s.name
LEFT JOIN pg_catalog.pg_replication_slots AS k ON k.slot_name = s.slot;
COMMENT ON VIEW anabranch.sources IS 'where the changes come from, how far they have been applied, and which sidecar does it';
COMMENT ON COLUMN anabranch.sources.name IS 'home: this database';
COMMENT ON COLUMN anabranch.sources.slot IS 'replication slot the changes are read from';
COMMENT ON COLUMN anabranch.sources.publication IS 'publication that selects the tables';
COMMENT ON COLUMN anabranch.sources.system_identifier IS 'of the cluster';
COMMENT ON COLUMN anabranch.sources.timeline IS 'of the cluster when the sidecar last started';
COMMENT ON COLUMN anabranch.sources.lsn IS 'end of the last transaction that is in all live copies';
COMMENT ON COLUMN anabranch.sources.commit_time IS 'when that transaction was committed';
COMMENT ON COLUMN anabranch.sources.applied_at IS 'when its batch was applied';
COMMENT ON COLUMN anabranch.sources.applied_transactions IS 'transactions applied since the source exists';
COMMENT ON COLUMN anabranch.sources.applied_rows IS 'changes applied since the source exists';
COMMENT ON COLUMN anabranch.sources.current_as_of IS 'everything committed before is in all live copies';
COMMENT ON COLUMN anabranch.sources.lag_bytes IS 'WAL written since lsn, of whatever kind';
COMMENT ON COLUMN anabranch.sources.confirmed_lsn IS 'what the slot may forget';
COMMENT ON COLUMN anabranch.sources.slot_active IS 'whether somebody reads the slot now';
COMMENT ON COLUMN anabranch.sources.wal_status IS 'of the slot: reserved, extended, unreserved or lost; NULL: there is no such slot';
COMMENT ON COLUMN anabranch.sources.kept_wal_bytes IS 'WAL that the slot keeps on disk';
COMMENT ON COLUMN anabranch.sources.sidecar_running IS 'a sign of life was seen within 10 s';
COMMENT ON COLUMN anabranch.sources.seen_at IS 'last sign of life of the sidecar';
COMMENT ON COLUMN anabranch.sources.sidecar_host IS 'host it runs on';
COMMENT ON COLUMN anabranch.sources.sidecar_pid IS 'its process id there';
COMMENT ON COLUMN anabranch.sources.sidecar_version IS 'its version';
COMMENT ON COLUMN anabranch.sources.started_at IS 'when it started';

CREATE VIEW anabranch.copies AS
SELECT d.copy, v.relowner::pg_catalog.regrole AS owner, coalesce(p.state, 'unbound') AS state, d.requested, d.class,
       at.lsn, CASE p.state WHEN 'live' THEN greatest(h.commit_time, CASE WHEN h.lsn >= b.lsn THEN b.seen_at END) END AS current_as_of,
       pg_catalog.pg_wal_lsn_diff(here.lsn, at.lsn)::bigint AS lag_bytes,
       p.fill_rows, greatest(p.fill_rows_total, p.fill_rows) AS fill_rows_total, rate.fill_rows_per_second,
       CASE WHEN p.state = 'filling' THEN pg_catalog.make_interval(
         secs => greatest(p.fill_rows_total - p.fill_rows, 0) / nullif(rate.fill_rows_per_second, 0)) END AS fill_time_left,
       p.sqlstate, p.reason, p.failed_lsn,
       -- An unbound copy's columns may have other numbers than before the dump; resume finds them.
       CASE WHEN p.copy IS NOT NULL THEN
         (SELECT pg_catalog.min(coalesce(anabranch.misfits(d.copy, s.relation, s.columns, s.column_definitions),
                                         anabranch.unreadable(v.relowner, s.relation, s.columns)))
          FROM anabranch.definition_source AS s WHERE s.copy = d.copy) END AS problem,
       ARRAY(SELECT s.relation FROM anabranch.definition_source AS s WHERE s.copy = d.copy ORDER BY s.ordinal) AS sources,
       d.state AS state_table, d.id, d.created_at, p.live_since, p.changed_at, d.query
FROM anabranch.definition AS d
CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn)
LEFT JOIN anabranch.progress AS p ON p.copy = d.copy
LEFT JOIN anabranch.source AS h ON h.name = 'home'
LEFT JOIN anabranch.heartbeat AS b ON b.source = h.name
LEFT JOIN pg_catalog.pg_class AS v ON v.oid = d.copy
CROSS JOIN LATERAL (SELECT CASE p.state WHEN 'live' THEN greatest(p.lsn, h.lsn) ELSE p.lsn END) AS at (lsn)
CROSS JOIN LATERAL (SELECT CASE WHEN p.state = 'filling' THEN
    p.fill_rows / nullif(extract(epoch FROM pg_catalog.clock_timestamp() - p.fill_started_at), 0)::float8 END)
  AS rate (fill_rows_per_second);
COMMENT ON VIEW anabranch.copies IS 'every copy: its state, its position, its query';
COMMENT ON COLUMN anabranch.copies.copy IS 'the view users read';
COMMENT ON COLUMN anabranch.copies.owner IS 'its owner, as whom its query runs';
COMMENT ON COLUMN anabranch.copies.state IS 'waiting, filling, catching_up, live, paused, failed, stale, or unbound: restored from a dump and not filled yet';
COMMENT ON COLUMN anabranch.copies.requested IS 'what the owner wants: run or pause';
COMMENT ON COLUMN anabranch.copies.class IS 'linear: groups with counters; rows: re-keyed rows';
COMMENT ON COLUMN anabranch.copies.lsn IS 'end of the last transaction that is in the copy';
COMMENT ON COLUMN anabranch.copies.current_as_of IS 'everything committed before is in the copy; NULL while it is not live';
COMMENT ON COLUMN anabranch.copies.lag_bytes IS 'WAL written since lsn, of whatever kind';
COMMENT ON COLUMN anabranch.copies.fill_rows IS 'source rows read by the fill';
COMMENT ON COLUMN anabranch.copies.fill_rows_total IS 'source rows to read, estimated';
COMMENT ON COLUMN anabranch.copies.fill_rows_per_second IS 'mean rate of the fill so far';
COMMENT ON COLUMN anabranch.copies.fill_time_left IS 'estimated from that rate';
COMMENT ON COLUMN anabranch.copies.sqlstate IS 'error code that set the copy aside';
COMMENT ON COLUMN anabranch.copies.reason IS 'why it was set aside';
COMMENT ON COLUMN anabranch.copies.failed_lsn IS 'end of the transaction that could not be applied';
COMMENT ON COLUMN anabranch.copies.problem IS 'what stands in the way: a source changed beyond what the copy was defined for, or a right that its owner has lost';
COMMENT ON COLUMN anabranch.copies.sources IS 'tables it reads';
COMMENT ON COLUMN anabranch.copies.state_table IS 'the table below the view';
COMMENT ON COLUMN anabranch.copies.id IS 'short number, part of names of slots and origins';
COMMENT ON COLUMN anabranch.copies.created_at IS 'when it was created';
COMMENT ON COLUMN anabranch.copies.live_since IS 'when it last became live';
COMMENT ON COLUMN anabranch.copies.changed_at IS 'when its state last changed';
COMMENT ON COLUMN anabranch.copies.query IS 'the defining query as its author wrote it';

CREATE VIEW anabranch.status AS
SELECT found.kind, found.name, found.state, (ARRAY['ok', 'warning', 'critical'])[found.severity] AS level,
       found.lag_bytes, found.problem, found.remedy
FROM (
  SELECT 'source', coalesce(s.name, 'home'),
         CASE WHEN s.name IS NULL THEN 'never started' WHEN s.sidecar_running THEN 'running' ELSE 'stopped' END,
         worst.severity, s.lag_bytes, worst.problem, worst.remedy
  FROM (SELECT) AS one LEFT JOIN anabranch.sources AS s ON true LEFT JOIN anabranch.snapshot_holder() AS h ON true
  CROSS JOIN LATERAL (
    SELECT * FROM (VALUES
      (s.name IS NULL, 2, 'no sidecar has run yet', 'anabranch init, then anabranch run'),
      (s.name IS NOT NULL AND s.wal_status IS NULL AND NOT pg_catalog.pg_is_in_recovery(), 3,
       pg_catalog.format('replication slot "%s" does not exist', s.slot), 'anabranch init'),
      (s.wal_status = 'lost', 3, pg_catalog.format('replication slot "%s" has lost WAL it still needed', s.slot),
       pg_catalog.format('SELECT pg_drop_replication_slot(%L), then anabranch init', s.slot)),
      (s.wal_status = 'unreserved', 3, pg_catalog.format('replication slot "%s" is about to lose WAL', s.slot),
       'start the sidecar, or raise max_slot_wal_keep_size'),
      (s.name IS NOT NULL AND s.sidecar_running IS NOT TRUE, 3,
       pg_catalog.format('the sidecar has not been seen since %s', coalesce(s.seen_at::timestamptz(0)::text, 'its start')), 'anabranch run'),
      (NOT s.slot_active AND NOT pg_catalog.pg_is_in_recovery(), 2, 'the sidecar does not read its slot', 'see the sidecar''s log'),
      (h.holder IS NOT NULL, 2,
       pg_catalog.format('%s has held a snapshot since %s; old row versions cannot be removed', h.holder, h.since::timestamptz(0)),
       h.remedy),
      (true, 1, NULL, NULL)) AS checks (holds, severity, problem, remedy)
    WHERE checks.holds ORDER BY checks.severity DESC LIMIT 1) AS worst
  UNION ALL
  SELECT 'copy', c.copy::text, c.state, worst.severity, c.lag_bytes, worst.problem, worst.remedy
  FROM anabranch.copies AS c
  CROSS JOIN LATERAL (
    SELECT * FROM (VALUES
      (c.state = 'unbound', 3, 'restored from a dump and not filled since', pg_catalog.format('SELECT anabranch.resume(%L)', c.copy)),
      (c.state IN ('failed', 'stale'), 3, concat_ws(': ', c.sqlstate, c.reason),
       CASE WHEN c.problem IS NULL THEN pg_catalog.format('SELECT anabranch.resume(%L)', c.copy)
         ELSE pg_catalog.format('undo that and SELECT anabranch.resume(%1$L), or SELECT anabranch.drop_aggregate_table(%1$L) and create it anew', c.copy) END),
      (c.problem IS NOT NULL, 3, c.problem, 'undo that, or drop the copy and create it anew'),
      (c.state = 'paused' AND c.requested = 'pause', 2, 'paused on request', pg_catalog.format('SELECT anabranch.resume(%L)', c.copy)),
      (c.state = 'paused', 2, 'waits for the sidecar to resume it', NULL),
      (c.state IN ('waiting', 'filling', 'catching_up'), 1,
       CASE c.state WHEN 'waiting' THEN 'waits to be filled'
         WHEN 'filling' THEN pg_catalog.format('%s of about %s rows%s', c.fill_rows, c.fill_rows_total, ', ' || pg_catalog.to_char(c.fill_time_left, 'HH24:MI:SS') || ' left')
         ELSE 'applies what was written during the fill' END, NULL),
      (true, 1, NULL, NULL)) AS checks (holds, severity, problem, remedy)
    WHERE checks.holds ORDER BY checks.severity DESC, checks.problem LIMIT 1) AS worst
) AS found (kind, name, state, severity, lag_bytes, problem, remedy)
ORDER BY found.severity, found.kind DESC, found.name;
COMMENT ON VIEW anabranch.status IS 'one row per source and copy with its worst problem and the remedy; the worst stands last';
COMMENT ON COLUMN anabranch.status.kind IS 'source or copy';
COMMENT ON COLUMN anabranch.status.name IS 'name of the source or copy';
COMMENT ON COLUMN anabranch.status.state IS 'of a source: never started, running, stopped; of a copy: as in anabranch.copies';
COMMENT ON COLUMN anabranch.status.level IS 'ok, warning or critical';
COMMENT ON COLUMN anabranch.status.lag_bytes IS 'WAL written since its position, of whatever kind';
COMMENT ON COLUMN anabranch.status.problem IS 'what is wrong, or what it is doing';
COMMENT ON COLUMN anabranch.status.remedy IS 'what to do about it: a statement or a command';

------------------------------------------------------------------------------------------- what the decoder sends

CREATE FUNCTION anabranch.decode(frames bytea) RETURNS SETOF jsonb
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_decode';
COMMENT ON FUNCTION anabranch.decode(bytea) IS
  'the records of a frame of the decoder, or of several appended to one another, as JSON; rows by column name where the relation is described among them, by attribute number otherwise';

-------------------------------------------------------------------------------------------------------------- grants

GRANT USAGE ON SCHEMA anabranch TO PUBLIC;
GRANT USAGE ON SCHEMA anabranch_data TO PUBLIC;

-- What PUBLIC may execute is granted below by name; everything else of this schema is taken away here.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA anabranch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION anabranch.decode(bytea) TO anabranch_monitor, anabranch_operator, anabranch_sidecar;

-- The caller becomes the copy's owner; what he may read and publish is checked by the function.
GRANT EXECUTE ON FUNCTION anabranch.create_aggregate_table(text, text, boolean) TO anabranch_operator;
-- Runs as the copy's owner.
GRANT EXECUTE ON FUNCTION anabranch.census(numeric, integer) TO PUBLIC;

-- These ask for the copy's owner or a member of anabranch_operator.
GRANT EXECUTE ON FUNCTION
  anabranch.drop_aggregate_table(regclass),
  anabranch.add_index(regclass, text[], text),
  anabranch.pause(regclass),
  anabranch.resume(regclass)
TO PUBLIC;

GRANT EXECUTE ON FUNCTION
  anabranch.start_sidecar(text, text, text, text, int, text),
  anabranch.heartbeat(text, bigint, boolean),
  anabranch.begin_batch(text, bigint),
  anabranch.end_batch(text, bigint, pg_catalog.pg_lsn, timestamptz, bigint, bigint),
  anabranch.begin_copy_batch(oid, text, bigint),
  anabranch.set_copy_position(oid, pg_catalog.pg_lsn),
  anabranch.set_aside(oid, text, pg_catalog.pg_lsn, text, text, pg_catalog.pg_lsn),
  anabranch.copies_to_apply(),
  anabranch.apply(oid, bytea),
  anabranch.apply_filling(oid, bytea),
  anabranch.fill_start(oid, text, pg_catalog.pg_lsn),
  anabranch.fill_chunk(oid, int),
  anabranch.show(oid, pg_catalog.pg_lsn)
TO anabranch_sidecar;

GRANT SELECT ON anabranch.status, anabranch.copies, anabranch.sources TO anabranch_monitor, anabranch_operator, anabranch_sidecar;
-- A view's functions run as its reader.
GRANT EXECUTE ON FUNCTION
  anabranch.unreadable(oid, oid, int2[]), anabranch.misfits(oid, oid, int2[], text[]), anabranch.column_definitions(oid, int2[]),
  anabranch.snapshot_holder()
TO anabranch_monitor, anabranch_operator, anabranch_sidecar;

-- All else that PUBLIC may execute. They check that their caller may read the copy.
GRANT EXECUTE ON FUNCTION
  anabranch.wait_for(regclass, pg_catalog.pg_lsn, interval),
  anabranch.is_fresh(regclass, pg_catalog.pg_lsn),
  anabranch.assert_fresh(regclass, interval)
TO PUBLIC;
