-- Publishing to Kafka: what is remembered of it, and what could not be sent.

CREATE TABLE anabranch.publisher (
  source             text PRIMARY KEY,
  prefix             text NOT NULL,
  cluster_id         text NOT NULL,
  lsn                pg_catalog.pg_lsn NOT NULL,
  state              text NOT NULL CHECK (state IN ('starting', 'waiting', 'publishing', 'stopped')),
  reason             text,
  first_published_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  seen_at            timestamptz NOT NULL DEFAULT pg_catalog.now(),
  started_at         timestamptz NOT NULL DEFAULT pg_catalog.now(),
  records            bigint NOT NULL DEFAULT 0,
  transactions       bigint NOT NULL DEFAULT 0,
  sidecar_host       text,
  sidecar_pid        int,
  sidecar_version    text
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.publisher IS 'for people, and to tell a lost progress topic from a first start; how far a source is published, its progress topic says alone';
COMMENT ON COLUMN anabranch.publisher.source IS 'the source that is published';
COMMENT ON COLUMN anabranch.publisher.prefix IS 'what the names of its topics begin with';
COMMENT ON COLUMN anabranch.publisher.cluster_id IS 'the Kafka cluster';
COMMENT ON COLUMN anabranch.publisher.lsn IS 'end of the last transaction known to be in the topics; a second or more behind the truth';
COMMENT ON COLUMN anabranch.publisher.state IS 'starting, waiting (for brokers or the slot), publishing or stopped';
COMMENT ON COLUMN anabranch.publisher.reason IS 'why it waits or has stopped, with the remedy';
COMMENT ON COLUMN anabranch.publisher.first_published_at IS 'when the source was published for the first time';
COMMENT ON COLUMN anabranch.publisher.seen_at IS 'last sign of life';
COMMENT ON COLUMN anabranch.publisher.started_at IS 'when the program started';
COMMENT ON COLUMN anabranch.publisher.records IS 'records written since then';
COMMENT ON COLUMN anabranch.publisher.transactions IS 'transactions written since then';
COMMENT ON COLUMN anabranch.publisher.sidecar_host IS 'host the program runs on';
COMMENT ON COLUMN anabranch.publisher.sidecar_pid IS 'its process id there';
COMMENT ON COLUMN anabranch.publisher.sidecar_version IS 'its version';

CREATE TABLE anabranch.publisher_witness (
  source     text PRIMARY KEY,
  recorded   uuid,
  fresh      uuid NOT NULL,
  renewed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
) WITH (fillfactor = 50);
COMMENT ON TABLE anabranch.publisher_witness IS 'what tells a source from an earlier copy of its files: its progress topic holds one of these two, and what it holds once both were renewed no earlier copy has';
COMMENT ON COLUMN anabranch.publisher_witness.source IS 'the source that is published';
COMMENT ON COLUMN anabranch.publisher_witness.recorded IS 'the one that its progress topic was known to hold when they were renewed';
COMMENT ON COLUMN anabranch.publisher_witness.fresh IS 'the one that it is to hold next';
COMMENT ON COLUMN anabranch.publisher_witness.renewed_at IS 'when';

CREATE TABLE anabranch.dead_letter (
  source     text NOT NULL,
  lsn        pg_catalog.pg_lsn NOT NULL,
  number     bigint NOT NULL,
  column_name text NOT NULL,
  topic      text NOT NULL,
  relation   text NOT NULL,
  key        bytea NOT NULL,
  bytes      bigint NOT NULL,
  reason     text NOT NULL,
  content    bytea,
  parked_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (source, lsn, number, column_name)
);
COMMENT ON TABLE anabranch.dead_letter IS 'values that stand in no topic because they were too large (oversize = "park"; their records say so, too), and messages that are no rows of their stream';
COMMENT ON COLUMN anabranch.dead_letter.source IS 'the source';
COMMENT ON COLUMN anabranch.dead_letter.lsn IS 'position of the transaction, as in the record''s header';
COMMENT ON COLUMN anabranch.dead_letter.number IS 'number of the record within the transaction; of a message that is no row of its stream, which of these it is';
COMMENT ON COLUMN anabranch.dead_letter.column_name IS 'the column that was left out; content or message of a logical message';
COMMENT ON COLUMN anabranch.dead_letter.topic IS 'the topic its record stands in; empty for a message that is no row of its stream';
COMMENT ON COLUMN anabranch.dead_letter.relation IS 'the table, or the stream; empty for another logical message';
COMMENT ON COLUMN anabranch.dead_letter.key IS 'the record''s key';
COMMENT ON COLUMN anabranch.dead_letter.bytes IS 'size of the value';
COMMENT ON COLUMN anabranch.dead_letter.reason IS 'why it was left out';
COMMENT ON COLUMN anabranch.dead_letter.content IS 'of a message that is no row of its stream: all of it, up to 16 MB';
COMMENT ON COLUMN anabranch.dead_letter.parked_at IS 'when';

CREATE FUNCTION anabranch.note_publisher(source text, prefix text, cluster_id text, lsn pg_catalog.pg_lsn, state text, reason text,
                                         records bigint, transactions bigint, host text, pid int, version text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM anabranch.publisher AS p WHERE p.source = note_publisher.source) THEN
    -- Whoever looks for it later must find that there was a first time.
    PERFORM set_config('synchronous_commit', 'local', true);
  END IF;
  INSERT INTO anabranch.publisher AS p (source, prefix, cluster_id, lsn, state, reason, records, transactions,
                                        sidecar_host, sidecar_pid, sidecar_version)
  VALUES (note_publisher.source, note_publisher.prefix, note_publisher.cluster_id, note_publisher.lsn, note_publisher.state,
          nullif(note_publisher.reason, ''), note_publisher.records, note_publisher.transactions, note_publisher.host,
          note_publisher.pid, note_publisher.version)
  ON CONFLICT ON CONSTRAINT publisher_pkey DO UPDATE
  SET prefix = excluded.prefix, cluster_id = coalesce(nullif(excluded.cluster_id, ''), p.cluster_id),
      lsn = CASE WHEN excluded.lsn = '0/0' THEN p.lsn ELSE excluded.lsn END,
      state = excluded.state, reason = excluded.reason, seen_at = clock_timestamp(),
      started_at = CASE WHEN (p.sidecar_host, p.sidecar_pid) IS DISTINCT FROM (excluded.sidecar_host, excluded.sidecar_pid)
                        THEN excluded.started_at ELSE p.started_at END,
      records = excluded.records, transactions = excluded.transactions, sidecar_host = excluded.sidecar_host,
      sidecar_pid = excluded.sidecar_pid, sidecar_version = excluded.sidecar_version;
END
$$;
COMMENT ON FUNCTION anabranch.note_publisher(text, text, text, pg_catalog.pg_lsn, text, text, bigint, bigint, text, int, text) IS
  'sign of life of the program that publishes, for people';

CREATE FUNCTION anabranch.published_before(source text, OUT lsn pg_catalog.pg_lsn) RETURNS pg_catalog.pg_lsn
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.lsn FROM anabranch.publisher AS p WHERE p.source = published_before.source
$$;
COMMENT ON FUNCTION anabranch.published_before(text) IS
  'how far a source is known to have been published; NULL if never: then a progress topic without a record of it is new, not lost';

CREATE FUNCTION anabranch.publisher_witnesses(source text, OUT recorded uuid, OUT fresh uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT w.recorded, w.fresh FROM anabranch.publisher_witness AS w WHERE w.source = publisher_witnesses.source
$$;
COMMENT ON FUNCTION anabranch.publisher_witnesses(text) IS
  'the two witnesses of a source, one of which its progress topic holds; NULL where there was none yet';

CREATE FUNCTION anabranch.renew_witness(source text, recorded uuid, known uuid) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  renewed uuid;
BEGIN
  -- Publishing waits for it: neither for a standby, nor long for somebody who has locked the table.
  PERFORM set_config('synchronous_commit', 'local', true), set_config('lock_timeout', '1s', true);
  INSERT INTO anabranch.publisher_witness AS w (source, recorded, fresh)
  VALUES (renew_witness.source, renew_witness.recorded, gen_random_uuid())
  ON CONFLICT ON CONSTRAINT publisher_witness_pkey DO UPDATE
  SET recorded = excluded.recorded, fresh = excluded.fresh, renewed_at = excluded.renewed_at
  -- A process that has been replaced since must not take away what its successor has recorded.
  WHERE w.fresh = renew_witness.known
  RETURNING w.fresh INTO renewed;
  RETURN renewed;
END
$$;
COMMENT ON FUNCTION anabranch.renew_witness(text, uuid, uuid) IS
  'stores what the progress topic of a source holds, and a fresh witness, which it returns; NULL, and nothing done, where the one before is not the known one';

CREATE FUNCTION anabranch.park(source text, lsn pg_catalog.pg_lsn, number bigint, column_name text, topic text, relation text,
                               key bytea, bytes bigint, reason text, content bytea DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Before its record is committed in Kafka: it may be said twice, and never not at all.
  PERFORM set_config('synchronous_commit', 'local', true);
  INSERT INTO anabranch.dead_letter (source, lsn, number, column_name, topic, relation, key, bytes, reason, content)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
  ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION anabranch.park(text, pg_catalog.pg_lsn, bigint, text, text, text, bytea, bigint, text, bytea) IS
  'notes a value that is too large for a topic, or a message that is no row of its stream';

CREATE VIEW anabranch.publishers AS
SELECT p.source, p.prefix, p.state, p.reason, p.lsn,
       pg_catalog.pg_wal_lsn_diff(here.lsn, p.lsn)::bigint AS lag_bytes,
       p.seen_at > pg_catalog.clock_timestamp() - interval '20 s' AND p.state <> 'stopped' AS running,
       (SELECT pg_catalog.count(*) FROM anabranch.dead_letter AS d WHERE d.source = p.source) AS dead_letters,
       p.records, p.transactions, p.cluster_id, p.first_published_at, p.started_at, p.seen_at,
       p.sidecar_host, p.sidecar_pid, p.sidecar_version
FROM anabranch.publisher AS p
CROSS JOIN (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                        ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn);
COMMENT ON VIEW anabranch.publishers IS 'what is published to Kafka, and how far';
COMMENT ON COLUMN anabranch.publishers.source IS 'the source that is published';
COMMENT ON COLUMN anabranch.publishers.prefix IS 'what the names of its topics begin with';
COMMENT ON COLUMN anabranch.publishers.state IS 'starting, waiting (for brokers or the slot), publishing or stopped';
COMMENT ON COLUMN anabranch.publishers.reason IS 'why it waits or has stopped, with the remedy';
COMMENT ON COLUMN anabranch.publishers.lsn IS 'end of the last transaction known to be in the topics';
COMMENT ON COLUMN anabranch.publishers.lag_bytes IS 'WAL written since lsn, of whatever kind';
COMMENT ON COLUMN anabranch.publishers.running IS 'whether it has been seen in the last 20 s';
COMMENT ON COLUMN anabranch.publishers.dead_letters IS 'values that were too large, and messages that are no rows, in dead_letters';
COMMENT ON COLUMN anabranch.publishers.records IS 'records written since started_at';
COMMENT ON COLUMN anabranch.publishers.transactions IS 'transactions written since started_at';
COMMENT ON COLUMN anabranch.publishers.cluster_id IS 'the Kafka cluster';
COMMENT ON COLUMN anabranch.publishers.first_published_at IS 'when the source was published for the first time';
COMMENT ON COLUMN anabranch.publishers.started_at IS 'when the program started';
COMMENT ON COLUMN anabranch.publishers.seen_at IS 'last sign of life';
COMMENT ON COLUMN anabranch.publishers.sidecar_host IS 'host the program runs on';
COMMENT ON COLUMN anabranch.publishers.sidecar_pid IS 'its process id there';
COMMENT ON COLUMN anabranch.publishers.sidecar_version IS 'its version';
