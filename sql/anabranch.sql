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
  seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.heartbeat IS 'signs of life; apart from source, whose row a large batch keeps locked for as long as it takes';
COMMENT ON COLUMN anabranch.heartbeat.source IS 'the source that the sidecar reads';
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
  stale    regclass[] NOT NULL,
  reason   text NOT NULL
);
COMMENT ON TABLE anabranch.ddl IS 'published, so that data definition reaches the sidecar in order with the rows; always empty, each row is deleted at once';
COMMENT ON COLUMN anabranch.ddl.id IS 'number of the record';
COMMENT ON COLUMN anabranch.ddl.relation IS 'the source concerned';
COMMENT ON COLUMN anabranch.ddl.tag IS 'the command, as event triggers name it';
COMMENT ON COLUMN anabranch.ddl.identity IS 'the source''s qualified name';
COMMENT ON COLUMN anabranch.ddl.stale IS 'copies that no longer follow from their source''s rows';
COMMENT ON COLUMN anabranch.ddl.reason IS 'what was changed, for people';

CREATE SEQUENCE anabranch.shadow_number AS int;
COMMENT ON SEQUENCE anabranch.shadow_number IS 'numbers the relations shadow_<n>';

-- A dump carries what was defined, and neither positions nor requests in progress: a restored copy is unbound.
SELECT pg_catalog.pg_extension_config_dump('anabranch.definition', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.definition_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.definition_source', '');
SELECT pg_catalog.pg_extension_config_dump('anabranch.shadow_number', '');

---------------------------------------------------------------------------------------------------------- definitions

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
  message pg_lsn;
BEGIN
  IF NOT EXISTS (SELECT FROM anabranch.source AS s WHERE s.name = heartbeat.source AND s.token = heartbeat.token) THEN
    RAISE EXCEPTION 'token % is no longer valid', heartbeat.token
      USING ERRCODE = 'AN001', DETAIL = 'Another sidecar has taken over this source.',
            HINT = 'Run one sidecar per database; the view anabranch.sources names the one that is in charge.';
  END IF;
  UPDATE anabranch.heartbeat AS h SET seen_at = now() WHERE h.source = heartbeat.source;
  IF keep_moving THEN
    message := pg_logical_emit_message(false, 'anabranch', '');
  END IF;
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
    WHEN c.oid IS NULL THEN 'a source table is gone'
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
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
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

------------------------------------------------------------------------------------------------------------ requests

----------------------------------------------------------------------------------------------------------- freshness

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
       at.lsn, pg_catalog.pg_wal_lsn_diff(here.lsn, at.lsn)::bigint AS lag_bytes,
       p.fill_rows, greatest(p.fill_rows_total, p.fill_rows) AS fill_rows_total, rate.fill_rows_per_second,
       CASE WHEN p.state = 'filling' THEN pg_catalog.make_interval(
         secs => greatest(p.fill_rows_total - p.fill_rows, 0) / nullif(rate.fill_rows_per_second, 0)) END AS fill_time_left,
       p.sqlstate, p.reason, p.failed_lsn,
       (SELECT pg_catalog.min(anabranch.unreadable(v.relowner, s.relation, s.columns))
        FROM anabranch.definition_source AS s WHERE s.copy = d.copy) AS problem,
       ARRAY(SELECT s.relation FROM anabranch.definition_source AS s WHERE s.copy = d.copy ORDER BY s.ordinal) AS sources,
       d.state AS state_table, d.id, d.created_at, p.live_since, p.changed_at, d.query
FROM anabranch.definition AS d
CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn)
LEFT JOIN anabranch.progress AS p ON p.copy = d.copy
LEFT JOIN anabranch.source AS h ON h.name = 'home'
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
COMMENT ON COLUMN anabranch.copies.lag_bytes IS 'WAL written since lsn, of whatever kind';
COMMENT ON COLUMN anabranch.copies.fill_rows IS 'source rows read by the fill';
COMMENT ON COLUMN anabranch.copies.fill_rows_total IS 'source rows to read, estimated';
COMMENT ON COLUMN anabranch.copies.fill_rows_per_second IS 'mean rate of the fill so far';
COMMENT ON COLUMN anabranch.copies.fill_time_left IS 'estimated from that rate';
COMMENT ON COLUMN anabranch.copies.sqlstate IS 'error code that set the copy aside';
COMMENT ON COLUMN anabranch.copies.reason IS 'why it was set aside';
COMMENT ON COLUMN anabranch.copies.failed_lsn IS 'end of the transaction that could not be applied';
COMMENT ON COLUMN anabranch.copies.problem IS 'a right that the owner has lost and the copy needs';
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
      (c.state IN ('failed', 'stale'), 3, concat_ws(': ', c.sqlstate, c.reason), pg_catalog.format('SELECT anabranch.resume(%L)', c.copy)),
      (c.problem IS NOT NULL, 3, c.problem, 'grant it again'),
      (c.state = 'paused' AND c.requested = 'pause', 2, 'paused on request', pg_catalog.format('SELECT anabranch.resume(%L)', c.copy)),
      (c.state = 'paused', 2, 'waits for the sidecar to resume it', NULL),
      (c.state IN ('waiting', 'filling', 'catching_up'), 1,
       CASE c.state WHEN 'waiting' THEN 'waits to be filled'
         WHEN 'filling' THEN pg_catalog.format('%s of about %s rows%s', c.fill_rows, c.fill_rows_total, ', ' || date_trunc('second', c.fill_time_left) || ' left')
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

-------------------------------------------------------------------------------------------------------------- grants

GRANT USAGE ON SCHEMA anabranch TO PUBLIC;
GRANT USAGE ON SCHEMA anabranch_data TO PUBLIC;

-- What PUBLIC may execute is granted below by name; everything else of this schema is taken away here.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA anabranch FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
  anabranch.start_sidecar(text, text, text, text, int, text),
  anabranch.heartbeat(text, bigint, boolean),
  anabranch.begin_batch(text, bigint),
  anabranch.end_batch(text, bigint, pg_catalog.pg_lsn, timestamptz, bigint, bigint),
  anabranch.begin_copy_batch(oid, text, bigint),
  anabranch.set_copy_position(oid, pg_catalog.pg_lsn),
  anabranch.set_aside(oid, text, pg_catalog.pg_lsn, text, text, pg_catalog.pg_lsn),
  anabranch.copies_to_apply()
TO anabranch_sidecar;

GRANT SELECT ON anabranch.status, anabranch.copies, anabranch.sources TO anabranch_monitor, anabranch_operator, anabranch_sidecar;
-- A view's functions run as its reader.
GRANT EXECUTE ON FUNCTION anabranch.unreadable(oid, oid, int2[]), anabranch.snapshot_holder()
TO anabranch_monitor, anabranch_operator, anabranch_sidecar;
