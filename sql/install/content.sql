-- Rows that exist, brought into topics: initial content, and on demand.

CREATE SEQUENCE anabranch.content_request;
COMMENT ON SEQUENCE anabranch.content_request IS 'numbers what republish asks for';

CREATE TABLE anabranch.content (
  relation      oid NOT NULL,
  request       bigint NOT NULL,
  table_name    text NOT NULL,
  condition     text,
  state         text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
  reason        text,
  cancelled     boolean NOT NULL DEFAULT false,
  rows          bigint NOT NULL DEFAULT 0,
  rows_read     bigint NOT NULL DEFAULT 0,
  rows_expected bigint,
  restarts      int NOT NULL DEFAULT 0,
  requested_by  text NOT NULL,
  requested_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  started_at    timestamptz,
  seen_at       timestamptz,
  finished_at   timestamptz,
  measured_at   timestamptz,
  measured_rows bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (relation, request)
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.content IS 'requests to publish rows that exist, and how far each is, for people; where it goes on, the progress topic says alone';
COMMENT ON COLUMN anabranch.content.relation IS 'the table';
COMMENT ON COLUMN anabranch.content.request IS '0: initial content; otherwise the number of a call of republish';
COMMENT ON COLUMN anabranch.content.table_name IS 'its name when it was last seen';
COMMENT ON COLUMN anabranch.content.condition IS 'which rows, with all names written out; NULL: all';
COMMENT ON COLUMN anabranch.content.state IS 'waiting, running, done, failed or cancelled';
COMMENT ON COLUMN anabranch.content.reason IS 'why it waits or has failed';
COMMENT ON COLUMN anabranch.content.cancelled IS 'cancel_republish was called, and the sidecar has not seen it yet';
COMMENT ON COLUMN anabranch.content.rows IS 'rows published';
COMMENT ON COLUMN anabranch.content.rows_read IS 'rows read from the table, with those that the condition left out';
COMMENT ON COLUMN anabranch.content.rows_expected IS 'the table''s rows, as the planner estimated them at the start';
COMMENT ON COLUMN anabranch.content.restarts IS 'how often it began again, since the table''s columns had changed';
COMMENT ON COLUMN anabranch.content.requested_by IS 'who called republish';
COMMENT ON COLUMN anabranch.content.requested_at IS 'when';
COMMENT ON COLUMN anabranch.content.started_at IS 'when reading began';
COMMENT ON COLUMN anabranch.content.seen_at IS 'last sign of progress';
COMMENT ON COLUMN anabranch.content.finished_at IS 'when it was done, failed or was cancelled';
COMMENT ON COLUMN anabranch.content.measured_at IS 'since when its rate is measured';
COMMENT ON COLUMN anabranch.content.measured_rows IS 'rows that had been read then';

-- What to read: row by row what the decoder would send. Its library has the encoding.
CREATE FUNCTION anabranch.read_content(relation oid, publication text, after bytea, rows_max int, bytes_max int, condition text, careful boolean,
                                       value_bytes_max int,
                                       OUT frame bytea, OUT snapshot text, OUT lsn pg_catalog.pg_lsn, OUT scanned bigint,
                                       OUT upper bytea, OUT system_identifier text, OUT timeline int) RETURNS SETOF record
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS '$libdir/anabranch_decoder', 'anabranch_read_content';
COMMENT ON FUNCTION anabranch.read_content(oid, text, bytea, int, int, text, boolean, int) IS
  'the next rows of a published table behind a key, under one short snapshot, as frames of the decoder; the last row tells the snapshot, the WAL position behind all that it shows, and the key to go on behind';

CREATE FUNCTION anabranch.wait_for_writers(relation oid) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS '$libdir/anabranch_decoder', 'anabranch_wait_for_writers';
COMMENT ON FUNCTION anabranch.wait_for_writers(oid) IS
  'waits for the transactions that write to a table now: one that began before the table was published is not in the stream with all it wrote';

CREATE FUNCTION anabranch.content_work(publication text, OUT relation oid, OUT table_name text, OUT rows_expected bigint,
                                       OUT request bigint, OUT condition text, OUT cancelled boolean) RETURNS SETOF record
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid, p.schemaname || '.' || p.tablename,
         (SELECT nullif(sum(greatest(l.reltuples, 0)), 0)::bigint FROM pg_class AS l
          WHERE l.relkind = 'r' AND l.oid IN (SELECT c.oid UNION SELECT t.relid FROM pg_partition_tree(c.oid) AS t)),
         0, NULL, coalesce((SELECT r.cancelled FROM anabranch.content AS r WHERE r.relation = c.oid AND r.request = 0), false)
  FROM pg_publication_tables AS p
  JOIN pg_namespace AS n ON n.nspname = p.schemaname
  JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
  WHERE p.pubname = content_work.publication AND n.nspname NOT IN ('anabranch', 'anabranch_stream')  -- a stream holds nothing
  UNION ALL
  SELECT r.relation, r.table_name, r.rows_expected, r.request, r.condition, r.cancelled
  FROM anabranch.content AS r
  WHERE r.request > 0 AND r.state IN ('waiting', 'running')
  ORDER BY 4, 2
$$;
COMMENT ON FUNCTION anabranch.content_work(text) IS
  'the tables of a publication, with request 0, and what republish has asked for and is not through';

CREATE FUNCTION anabranch.note_content(relation oid, request bigint, table_name text, state text, reason text, rows bigint, rows_read bigint,
                                       rows_expected bigint, restarts int, continues boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO anabranch.content AS c (relation, request, table_name, state, reason, rows, rows_read, rows_expected, restarts, requested_by,
                                      started_at, seen_at, finished_at, measured_at, measured_rows)
  VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8, $9, session_user, now(), now(),
          CASE WHEN $4 IN ('done', 'failed', 'cancelled') THEN now() END, now(), $7)
  ON CONFLICT ON CONSTRAINT content_pkey DO UPDATE
  SET table_name = excluded.table_name, state = excluded.state, reason = excluded.reason, rows = excluded.rows,
      rows_read = excluded.rows_read, rows_expected = coalesce(excluded.rows_expected, c.rows_expected), restarts = excluded.restarts,
      started_at = CASE WHEN c.finished_at IS NOT NULL AND excluded.finished_at IS NULL THEN excluded.started_at
                        ELSE coalesce(c.started_at, excluded.started_at) END,
      seen_at = CASE WHEN c.finished_at IS NOT NULL AND excluded.finished_at IS NOT NULL THEN c.seen_at ELSE excluded.seen_at END,
      finished_at = CASE WHEN excluded.finished_at IS NOT NULL THEN coalesce(c.finished_at, excluded.finished_at) END,
      cancelled = c.cancelled AND excluded.finished_at IS NULL,
      measured_at = CASE WHEN note_content.continues THEN coalesce(c.measured_at, excluded.measured_at) ELSE excluded.measured_at END,
      measured_rows = CASE WHEN note_content.continues THEN c.measured_rows ELSE excluded.rows_read END;
END
$$;
COMMENT ON FUNCTION anabranch.note_content(oid, bigint, text, text, text, bigint, bigint, bigint, int, boolean) IS
  'how far the sidecar is with the rows of a table, for people; continues: the rate is measured on from where it was';

CREATE FUNCTION anabranch.carry_out_republish(relation oid, condition text, caller text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  tables oid[];
  one    oid;
BEGIN
  IF NOT EXISTS (SELECT FROM anabranch.publisher) THEN
    RAISE EXCEPTION 'nothing is published to Kafka from this database' USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Set log = "kafka" in the sidecar''s settings file, and run "anabranch run".';
  END IF;
  -- As it is published: under its own name, or a partitioned table under those of its partitions.
  tables := ARRAY(
    SELECT DISTINCT c.oid
    FROM pg_publication_tables AS p
    JOIN pg_namespace AS n ON n.nspname = p.schemaname
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
    WHERE c.oid = $1 OR c.oid IN (SELECT t.relid FROM pg_partition_tree($1) AS t));
  IF cardinality(tables) = 0 THEN
    IF EXISTS (SELECT FROM pg_publication_tables AS p JOIN pg_namespace AS n ON n.nspname = p.schemaname
               JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
               WHERE c.oid IN (SELECT a.relid FROM pg_partition_ancestors($1) AS a)) THEN
      RAISE EXCEPTION 'partition % is published under the name of its table', $1::regclass USING ERRCODE = 'wrong_object_type',
        HINT = format('Name the table; a condition picks the partition''s rows: SELECT anabranch.republish(%L, ...).', pg_partition_root($1));
    END IF;
    RAISE EXCEPTION 'table % is not published', $1::regclass USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = format('ALTER PUBLICATION ... ADD TABLE %s adds it.', $1::regclass);
  END IF;
  FOREACH one IN ARRAY tables LOOP
    IF NOT EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
                   WHERE i.indrelid = one AND i.indisvalid AND i.indimmediate
                     AND (i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)) THEN
      RAISE EXCEPTION 'table % has no key by which its rows could be read', one::regclass USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'Give it a primary key, or a replica identity by an index.';
    END IF;
    IF EXISTS (SELECT FROM anabranch.content AS c WHERE c.relation = one AND c.state IN ('waiting', 'running')
               AND c.condition IS NOT DISTINCT FROM $2 AND NOT c.cancelled) THEN
      RAISE NOTICE 'table %: this is under way or asked for already', one::regclass USING HINT = 'The view anabranch.contents shows it.';
      CONTINUE;
    END IF;
    INSERT INTO anabranch.content (relation, request, table_name, condition, state, requested_by)
    SELECT one, nextval('anabranch.content_request'), n.nspname || '.' || c.relname, $2, 'waiting', $3
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = one;
  END LOOP;
  IF NOT EXISTS (SELECT FROM anabranch.publisher AS p WHERE p.seen_at > clock_timestamp() - interval '20 s' AND p.state <> 'stopped') THEN
    RAISE NOTICE 'nothing publishes this database at this moment; it will be done when that starts' USING HINT = 'Run "anabranch run".';
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_republish(oid, text, text) IS 'work of republish, once its caller and the condition are checked';

CREATE FUNCTION anabranch.carry_out_cancel_republish(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- What the sidecar has not begun needs nobody to end it.
  UPDATE anabranch.content AS c
  SET cancelled = c.started_at IS NOT NULL,
      state = CASE WHEN c.started_at IS NULL THEN 'cancelled' ELSE c.state END,
      finished_at = CASE WHEN c.started_at IS NULL THEN now() END
  WHERE c.relation IN (SELECT $1 UNION SELECT t.relid FROM pg_partition_tree($1) AS t) AND c.state IN ('waiting', 'running');
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no rows of table % are being published', $1::regclass USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'The view anabranch.contents shows what is.';
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_cancel_republish(oid) IS 'work of cancel_republish, once its caller is checked';

CREATE FUNCTION anabranch.republish(relation regclass, condition text DEFAULT NULL) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'anabranch_republish';
COMMENT ON FUNCTION anabranch.republish(regclass, text) IS
  'publishes the rows that a table has now, or those that meet a condition, as read records (op r) beside the stream of its changes; the view contents tells how far it is';

CREATE FUNCTION anabranch.cancel_republish(relation regclass) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_cancel_republish';
COMMENT ON FUNCTION anabranch.cancel_republish(regclass) IS
  'ends the publishing of a table''s rows, whether republish asked for it or they are its initial content; what is in the topic stays';

CREATE VIEW anabranch.contents AS
SELECT c.table_name, CASE WHEN c.request = 0 THEN 'initial' ELSE 'republish' END AS kind, c.condition, c.state, c.reason,
       c.rows, c.rows_read, c.rows_expected, r.rows_per_second,
       CASE WHEN c.state = 'running' AND r.rows_per_second > 0
            THEN pg_catalog.make_interval(secs => greatest(c.rows_expected - c.rows_read, 0) / r.rows_per_second) END AS time_left,
       c.restarts, c.requested_by, c.requested_at, c.started_at, c.seen_at, c.finished_at
FROM anabranch.content AS c
CROSS JOIN LATERAL (
  SELECT round((c.rows_read - c.measured_rows)
               / nullif(extract(epoch FROM c.seen_at - c.measured_at), 0))::bigint AS rows_per_second) AS r;
COMMENT ON VIEW anabranch.contents IS 'rows that exist and are brought into topics: initial content and what republish asked for, and how far each is';
COMMENT ON COLUMN anabranch.contents.table_name IS 'the table';
COMMENT ON COLUMN anabranch.contents.kind IS 'initial or republish';
COMMENT ON COLUMN anabranch.contents.condition IS 'which rows; NULL: all';
COMMENT ON COLUMN anabranch.contents.state IS 'waiting, running, done, failed or cancelled';
COMMENT ON COLUMN anabranch.contents.reason IS 'why it waits or has failed, with the remedy';
COMMENT ON COLUMN anabranch.contents.rows IS 'rows published';
COMMENT ON COLUMN anabranch.contents.rows_read IS 'rows read from the table, with those that the condition left out';
COMMENT ON COLUMN anabranch.contents.rows_expected IS 'the table''s rows, as the planner estimated them; NULL: not analyzed';
COMMENT ON COLUMN anabranch.contents.rows_per_second IS 'rows read in a second';
COMMENT ON COLUMN anabranch.contents.time_left IS 'how long it will take at that rate';
COMMENT ON COLUMN anabranch.contents.restarts IS 'how often it began again, since the table''s columns had changed';
COMMENT ON COLUMN anabranch.contents.requested_by IS 'who asked for it; initial: the sidecar';
COMMENT ON COLUMN anabranch.contents.requested_at IS 'when';
COMMENT ON COLUMN anabranch.contents.started_at IS 'when reading began';
COMMENT ON COLUMN anabranch.contents.seen_at IS 'last sign of progress';
COMMENT ON COLUMN anabranch.contents.finished_at IS 'when it was done, failed or was cancelled';
