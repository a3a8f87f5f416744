-- What the sidecar calls round the changes: it starts, gives signs of life, opens and closes batches, sets copies aside.

-- The control file tells a timeline of the past for a moment after a promotion; the name of the segment being written does not.
CREATE FUNCTION anabranch.current_timeline() RETURNS int
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
$$;
COMMENT ON FUNCTION anabranch.current_timeline() IS 'the timeline that this server writes';

CREATE FUNCTION anabranch.timeline_history(timeline int) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
  SELECT pg_read_file(format('pg_wal/%s.history', lpad(upper(to_hex($1)), 8, '0')), 0, 1048576, true)
$$;
COMMENT ON FUNCTION anabranch.timeline_history(int) IS 'the server''s own note of where a timeline comes from; NULL: there is none';

CREATE FUNCTION anabranch.lost_history(timeline int, lsn pg_catalog.pg_lsn, current_line int, current_lsn pg_catalog.pg_lsn, history text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN $3 < $1 THEN format('this server is on timeline %s, and the copies have followed timeline %s: its files are older than they', $3, $1)
    WHEN $3 > $1 AND ends.here IS NULL THEN format('this server is on timeline %s, which does not come from timeline %s that the copies have followed', $3, $1)
    WHEN $3 > $1 AND $2 > ends.here
      THEN format('the copies have changes up to %s of timeline %s, which this server left at %s: it does not have those between', $2, $1, ends.here)
    WHEN $2 > $4 THEN format('the copies have changes up to %s, and the WAL of this server ends at %s: its files are older than they', $2, $4)
  END
  FROM (SELECT (SELECT line[2]::pg_lsn FROM regexp_matches($5, '^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)', 'gn') AS line
                WHERE line[1]::bigint = $1 LIMIT 1)) AS ends (here)
$$;
COMMENT ON FUNCTION anabranch.lost_history(int, pg_catalog.pg_lsn, int, pg_catalog.pg_lsn, text) IS
  'how a server of another history than the one that copies have followed is told: timeline and position of the copies, those of the server, and its history file; NULL: it is the same';

CREATE FUNCTION anabranch.start_sidecar(source text, slot text, publication text, host text, pid int, version text,
                                        log text DEFAULT 'slot', OUT token bigint, OUT lsn pg_catalog.pg_lsn,
                                        OUT log_offset bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place        record;
  known        anabranch.source;
  here         text := (SELECT system_identifier::text FROM pg_control_system());
  current_line int := anabranch.current_timeline();
  lost_range   text;
  from_slot    boolean := start_sidecar.log = 'slot';
  begin_at     pg_lsn;
BEGIN
  IF start_sidecar.source IS DISTINCT FROM 'home' THEN
    RAISE EXCEPTION 'unknown source "%"', start_sidecar.source
      USING ERRCODE = 'invalid_parameter_value', HINT = 'The source in this database is named "home".';
  END IF;
  IF start_sidecar.log IS NULL OR start_sidecar.log NOT IN ('slot', 'kafka') THEN
    RAISE EXCEPTION 'unknown log "%"', start_sidecar.log
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Changes are read from the "slot" or from "kafka".';
  END IF;
  SELECT * INTO place FROM pg_replication_slots WHERE slot_name = start_sidecar.slot;
  -- Read from Kafka, the slot is the publisher's affair, which may be elsewhere or done for.
  IF from_slot THEN
    IF NOT FOUND THEN
      SELECT * INTO known FROM anabranch.source AS s WHERE s.name = start_sidecar.source AND s.slot = start_sidecar.slot;
      RAISE EXCEPTION 'replication slot "%" does not exist', start_sidecar.slot
        USING ERRCODE = 'undefined_object',
              DETAIL = CASE
                WHEN known.name IS NULL THEN 'No sidecar has read it yet.'
                WHEN known.timeline < current_line THEN format(
                  'This server was promoted: it is on timeline %s, and the slot was read on %s. Before PostgreSQL 17 a slot does not go '
                  'over to a standby; from 17 on one does that was made with failover and synchronized. The copies have changes up to %s.',
                  current_line, known.timeline, known.lsn)
                ELSE format('It was dropped, or this server was restored from a backup, which has no slots. The copies have changes up to %s.',
                            known.lsn) END,
              HINT = 'Run "anabranch init" to make it'
                     || CASE WHEN known.name IS NULL THEN '.' ELSE '; the copies then say what they miss, and anabranch.rebuild brings each back.' END;
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
  END IF;
  -- Where to begin when there is nothing to go on with.
  begin_at := coalesce(place.confirmed_flush_lsn, pg_current_wal_flush_lsn());

  -- A lock before the look, so that of two sidecars starting at once each gets a token of its own.
  LOCK TABLE anabranch.source IN SHARE ROW EXCLUSIVE MODE;
  -- The sidecar's sessions commit asynchronously, but a token must survive the server's crash: given out twice, it would
  -- fence nobody.
  PERFORM set_config('synchronous_commit', 'local', true);
  SELECT * INTO known FROM anabranch.source AS s WHERE s.name = start_sidecar.source;
  IF FOUND AND from_slot AND place.active
     AND (known.sidecar_host, known.sidecar_pid) IS DISTINCT FROM (start_sidecar.host, start_sidecar.pid) THEN
    RAISE EXCEPTION 'replication slot "%" is in use by process %', start_sidecar.slot, place.active_pid
      USING ERRCODE = 'object_in_use',
            DETAIL = format('The sidecar on host %L with process id %s was started at %s.',
                            known.sidecar_host, known.sidecar_pid, known.started_at),
            HINT = 'Run one sidecar per database. If that one is gone, the server notices within wal_sender_timeout.';
  END IF;

  lost_range := anabranch.lost_history(known.timeline, known.lsn, current_line, pg_current_wal_flush_lsn(),
    CASE WHEN known.timeline < current_line THEN anabranch.timeline_history(current_line) END);
  IF known.name IS NULL THEN
    INSERT INTO anabranch.source AS s (name, system_identifier, timeline, slot, publication, token, lsn)
    VALUES (start_sidecar.source, here, current_line, start_sidecar.slot, start_sidecar.publication, 0, begin_at);
  ELSIF known.system_identifier <> here THEN
    -- The files were carried over (pg_upgrade): positions of another cluster mean nothing here.
    DELETE FROM anabranch.fill_chunk;
    DELETE FROM anabranch.progress;
    DELETE FROM anabranch.heartbeat;
    UPDATE anabranch.source AS s SET system_identifier = here, lsn = begin_at, log_offset = NULL, commit_time = NULL
    WHERE s.name = start_sidecar.source;
    RAISE WARNING 'this database comes from another cluster, its copies are unbound'
      USING HINT = 'Fill each again with anabranch.resume.';
  ELSIF NOT from_slot THEN
    -- Without a live copy nothing before the publisher's position is missed, and the topics may not have it any more.
    UPDATE anabranch.source AS s SET lsn = begin_at, log_offset = NULL
    WHERE s.name = start_sidecar.source AND s.lsn < begin_at
      AND NOT EXISTS (SELECT FROM anabranch.progress AS p WHERE p.state = 'live');
  ELSIF lost_range IS NOT NULL THEN
    -- What the copies have may be of transactions that this server does not know.
    UPDATE anabranch.progress AS p
    SET state = 'stale', sqlstate = 'AN004', changed_at = now(), lsn = CASE p.state WHEN 'live' THEN greatest(p.lsn, known.lsn) ELSE p.lsn END,
        reason = lost_range || '; fill the copy anew with anabranch.rebuild'
    WHERE p.state IN ('live', 'paused', 'catching_up', 'filling');
    UPDATE anabranch.source AS s SET lsn = begin_at WHERE s.name = start_sidecar.source;
    RAISE WARNING '%', lost_range USING HINT = 'The copies are stale. Fill each anew with anabranch.rebuild.';
  ELSIF place.confirmed_flush_lsn > known.lsn THEN
    lost_range := format('the changes between %s and %s are lost: replication slot "%s" was made anew or moved by hand',
                         known.lsn, place.confirmed_flush_lsn, start_sidecar.slot);
    UPDATE anabranch.progress AS p
    SET state = 'stale', lsn = known.lsn, sqlstate = 'AN004', changed_at = now(),
        reason = lost_range || '; fill the copy anew with anabranch.rebuild'
    WHERE p.state = 'live' AND greatest(p.lsn, known.lsn) < place.confirmed_flush_lsn;
    UPDATE anabranch.source AS s SET lsn = place.confirmed_flush_lsn WHERE s.name = start_sidecar.source;
    RAISE WARNING '%', lost_range USING HINT = 'The copies concerned are stale. Fill each anew with anabranch.rebuild.';
  END IF;

  UPDATE anabranch.source AS s
  SET token = s.token + 1, timeline = current_line, slot = start_sidecar.slot, publication = start_sidecar.publication,
      sidecar_host = start_sidecar.host, sidecar_pid = start_sidecar.pid, sidecar_version = start_sidecar.version,
      started_at = now(), log_offset = CASE WHEN NOT from_slot THEN s.log_offset END
  WHERE s.name = start_sidecar.source
  RETURNING s.token, s.lsn, s.log_offset INTO start_sidecar.token, start_sidecar.lsn, start_sidecar.log_offset;
  INSERT INTO anabranch.heartbeat AS h (source, seen_at) VALUES (start_sidecar.source, now())
  ON CONFLICT ON CONSTRAINT heartbeat_pkey DO UPDATE SET seen_at = excluded.seen_at;
END
$$;
COMMENT ON FUNCTION anabranch.start_sidecar(text, text, text, text, int, text, text) IS
  'announces a sidecar: checks its slot (log = kafka: none is needed), gives it the token that fences older ones and the position to start from';

CREATE FUNCTION anabranch.raise_fenced(token bigint) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_raise_fenced';
COMMENT ON FUNCTION anabranch.raise_fenced(bigint) IS 'raises AN001: the token is not the source''s any more';

CREATE FUNCTION anabranch.heartbeat(source text, token bigint, waiting text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  applied pg_lsn;
  -- In this order: what was committed before the time lies before the position.
  now_at  timestamptz := clock_timestamp();
  now_lsn pg_lsn := pg_current_wal_insert_lsn();
BEGIN
  SELECT s.lsn INTO applied FROM anabranch.source AS s WHERE s.name = heartbeat.source AND s.token = heartbeat.token;
  IF NOT FOUND THEN
    PERFORM anabranch.raise_fenced(heartbeat.token);
  END IF;
  -- A mark stays until the stream has passed it, however long that takes; what is known of the one before stays until then.
  UPDATE anabranch.heartbeat AS h
  SET seen_at = now_at,
      waiting = heartbeat.waiting,
      passed_at = CASE WHEN applied >= h.mark_lsn THEN h.marked_at ELSE h.passed_at END,
      mark_lsn = CASE WHEN applied < h.mark_lsn THEN h.mark_lsn ELSE now_lsn END,
      marked_at = CASE WHEN applied < h.mark_lsn THEN h.marked_at ELSE now_at END
  WHERE h.source = heartbeat.source;
  -- REASSIGN OWNED changes the owner of views without an event trigger's noticing.
  PERFORM anabranch.keep_grants(ARRAY(SELECT d.copy FROM anabranch.definition AS d));
  -- Nor does one see a function that was replaced in a transaction which did not see the definition yet.
  PERFORM anabranch.judge_functions();
END
$$;
COMMENT ON FUNCTION anabranch.heartbeat(text, bigint, text) IS
  'sign of life of the sidecar, about once a second and not on the connection that applies, with what it waits for; also marks the end of the WAL, by which the age of copies is told';

CREATE FUNCTION anabranch.begin_batch(source text, token bigint,
                                      OUT snapshot pg_catalog.pg_snapshot, OUT flush_lsn pg_catalog.pg_lsn)
-- A repair keeps batches out for as long as its corrections take: longer than the table of one copy is waited for.
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s'
AS 'MODULE_PATHNAME', 'anabranch_begin_batch';
COMMENT ON FUNCTION anabranch.begin_batch(text, bigint) IS
  'first call of a batch''s transaction: locks the source, checks the token, tells what is visible';

CREATE FUNCTION anabranch.end_batch(source text, token bigint, lsn pg_catalog.pg_lsn, commit_time timestamptz,
                                    transactions bigint, rows bigint, log_offset bigint DEFAULT NULL) RETURNS void
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_end_batch';
COMMENT ON FUNCTION anabranch.end_batch(text, bigint, pg_catalog.pg_lsn, timestamptz, bigint, bigint, bigint) IS
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
    PERFORM anabranch.raise_fenced(begin_copy_batch.token);
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
  -- No row: it was dropped meanwhile, or resumed, which begins it anew with a row of its own. Then nothing is left to be said.
END
$$;
COMMENT ON FUNCTION anabranch.set_aside(oid, text, pg_catalog.pg_lsn, text, text, pg_catalog.pg_lsn) IS
  'takes a copy out of the batches: paused, failed, stale, catching_up or waiting, with code and reason';

CREATE FUNCTION anabranch.unreadable(owner oid, relation oid, columns int2[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN c.oid IS NULL THEN NULL  -- the event trigger's record says that, in order with the rows
    WHEN r.oid IS NULL THEN 'the owner of the copy is gone'
    -- NULL: it has been dropped since this statement's snapshot, which is said likewise.
    WHEN EXISTS (SELECT FROM unnest($3) AS column_number WHERE NOT has_column_privilege($1, $2, column_number, 'SELECT'))
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
               ordinal int, relation oid, relation_name text, columns int2[], named int2[], key int2[], old_rows text,
               problem text, fill_duty float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.copy, d.copy::regclass::text, d.id, p.state, d.requested,
         CASE p.state WHEN 'live' THEN greatest(p.lsn, h.lsn) ELSE p.lsn END,
         p.fill_slot, d.class, s.ordinal, s.relation, s.relation::regclass::text, s.columns, s.named, s.key, s.old_rows,
         anabranch.unreadable(v.relowner, s.relation, s.columns),
         (SELECT max(f.duty) FROM anabranch.verification AS f WHERE f.twin = d.copy AND f.state = 'running')
  FROM anabranch.definition AS d
  JOIN anabranch.progress AS p ON p.copy = d.copy
  JOIN anabranch.definition_source AS s ON s.copy = d.copy
  LEFT JOIN pg_class AS v ON v.oid = d.copy
  LEFT JOIN anabranch.source AS h ON h.name = 'home'
  ORDER BY d.id, s.ordinal
$$;
COMMENT ON FUNCTION anabranch.copies_to_apply() IS
  'every copy with each of its sources, for the sidecar; problem: a right that the copy''s owner has lost';
