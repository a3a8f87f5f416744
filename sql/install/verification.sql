-- Proving copies and mending them: what is asked for, how far it is, what was found.

CREATE TABLE anabranch.verification (
  run           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  copy          regclass NOT NULL,
  definition    int NOT NULL,
  mode          text NOT NULL CHECK (mode IN ('full', 'sketch', 'keys', 'index')),
  keys          jsonb,
  repairs       boolean NOT NULL,
  duty          float8 NOT NULL CHECK (duty > 0 AND duty <= 1),
  state         text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
  cancelled     boolean NOT NULL DEFAULT false,
  method        text CHECK (method IN ('pass', 'twin')),
  purpose       text NOT NULL DEFAULT 'verify' CHECK (purpose IN ('verify', 'rebuild', 'alter')),
  twin          regclass,
  swap          boolean NOT NULL DEFAULT false,
  swapped       boolean NOT NULL DEFAULT false,
  waiting       text,
  reason        text,
  live_since    timestamptz,
  lsn           pg_catalog.pg_lsn,
  snapshot      pg_catalog.pg_snapshot,
  compared      bigint,
  differing     bigint,
  retained      bigint,
  undetermined  bigint,
  document_keys jsonb,
  documents     bigint,
  documents_differing bigint,
  documents_repaired bigint,
  documents_lsn pg_catalog.pg_lsn,
  requested_by  text NOT NULL,
  requested_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  started_at    timestamptz,
  proved_at     timestamptz,
  proof_seconds float8,
  finished_at   timestamptz
) WITH (fillfactor = 50);
CREATE INDEX verification_copy ON anabranch.verification (copy, run);
CREATE INDEX verification_open ON anabranch.verification (run) WHERE state IN ('queued', 'running');
COMMENT ON TABLE anabranch.verification IS 'each comparison of a copy with its definition that was asked for, and what came of it';
COMMENT ON COLUMN anabranch.verification.run IS 'number of the run';
COMMENT ON COLUMN anabranch.verification.copy IS 'the copy';
COMMENT ON COLUMN anabranch.verification.definition IS 'definition.id of the copy when it was asked for';
COMMENT ON COLUMN anabranch.verification.mode IS 'full: every group or row; sketch: sums by buckets first, then those that differ; keys: those named; index: no more than an index with its copy';
COMMENT ON COLUMN anabranch.verification.keys IS 'which, for mode keys: a list of objects by column';
COMMENT ON COLUMN anabranch.verification.repairs IS 'whether what differs is put right';
COMMENT ON COLUMN anabranch.verification.duty IS 'share of the time in which the sources are read';
COMMENT ON COLUMN anabranch.verification.state IS 'queued, running, done, failed or cancelled';
COMMENT ON COLUMN anabranch.verification.cancelled IS 'cancel was called';
COMMENT ON COLUMN anabranch.verification.method IS 'pass: in one statement over the sources; twin: a second copy is filled in small steps and compared';
COMMENT ON COLUMN anabranch.verification.purpose IS 'verify; rebuild and alter: the twin takes the copy''s place when it has been compared';
COMMENT ON COLUMN anabranch.verification.twin IS 'the twin that the copy is compared with';
COMMENT ON COLUMN anabranch.verification.swap IS 'the twin is to take the copy''s place once it has been compared';
COMMENT ON COLUMN anabranch.verification.swapped IS 'it has';
COMMENT ON COLUMN anabranch.verification.waiting IS 'what it waits for';
COMMENT ON COLUMN anabranch.verification.reason IS 'why it has failed';
COMMENT ON COLUMN anabranch.verification.live_since IS 'of the copy when it was proved: filled anew it is another';
COMMENT ON COLUMN anabranch.verification.lsn IS 'position of the copy at which it was compared';
COMMENT ON COLUMN anabranch.verification.snapshot IS 'what the comparison saw';
COMMENT ON COLUMN anabranch.verification.compared IS 'groups or rows compared, those on one side alone included';
COMMENT ON COLUMN anabranch.verification.differing IS 'how many of them differed';
COMMENT ON COLUMN anabranch.verification.retained IS 'groups or rows that the sources no longer explain, of partitions that were removed; NULL: the copy keeps none';
COMMENT ON COLUMN anabranch.verification.undetermined IS 'those of which a part may be of such partitions: neither equal nor differing';
COMMENT ON COLUMN anabranch.verification.document_keys IS 'which documents of an index, where not all; NULL for one: all of them, in the mode keys, too';
COMMENT ON COLUMN anabranch.verification.documents IS 'documents of an index that were compared with its copy';
COMMENT ON COLUMN anabranch.verification.documents_differing IS 'how many of them differed';
COMMENT ON COLUMN anabranch.verification.documents_repaired IS 'how many of these were put right';
COMMENT ON COLUMN anabranch.verification.documents_lsn IS 'position of the copy at which the last of them were compared';
COMMENT ON COLUMN anabranch.verification.requested_by IS 'who asked; empty: nobody, it was due (verify_every)';
COMMENT ON COLUMN anabranch.verification.requested_at IS 'when';
COMMENT ON COLUMN anabranch.verification.started_at IS 'when the sidecar began';
COMMENT ON COLUMN anabranch.verification.proved_at IS 'when copy and sources were compared';
COMMENT ON COLUMN anabranch.verification.proof_seconds IS 'how long the comparison itself took';
COMMENT ON COLUMN anabranch.verification.finished_at IS 'when the run ended';

CREATE TABLE anabranch.difference (
  run            bigint NOT NULL REFERENCES anabranch.verification ON DELETE CASCADE,
  number         bigint NOT NULL,
  held_by        text NOT NULL DEFAULT 'copy' CHECK (held_by IN ('copy', 'index')),
  class          text NOT NULL CHECK (class IN ('missing', 'extra', 'wrong', 'duplicate', 'foreign', 'stale', 'refused')),
  key            jsonb NOT NULL,
  expected       jsonb,
  actual         jsonb,
  expected_state text,
  actual_state   text,
  seen_at        timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  outcome        text CHECK (outcome IN ('repaired', 'overwritten', 'retained', 'undetermined')),
  repaired_at    timestamptz,
  repaired_lsn   pg_catalog.pg_lsn,
  PRIMARY KEY (run, number)
);
COMMENT ON TABLE anabranch.difference IS 'what was found to differ, and what was done about it';
COMMENT ON COLUMN anabranch.difference.run IS 'the run that found it';
COMMENT ON COLUMN anabranch.difference.number IS 'number within the run';
COMMENT ON COLUMN anabranch.difference.held_by IS 'copy: it differs from its definition; index: from the copy';
COMMENT ON COLUMN anabranch.difference.class IS 'missing: it should be there; extra: it should not; wrong: with other contents; duplicate: more than once; of a document also foreign: somebody else has written it, stale: it is what was written once, and refused: the engine would not take it';
COMMENT ON COLUMN anabranch.difference.key IS 'columns by which the group is found; of a copy of rows the row''s key, in hexadecimal';
COMMENT ON COLUMN anabranch.difference.expected IS 'the row as the definition has it; NULL: none';
COMMENT ON COLUMN anabranch.difference.actual IS 'the row as the copy had it; NULL: none';
COMMENT ON COLUMN anabranch.difference.expected_state IS 'the same as a row of the state table, hidden counters included';
COMMENT ON COLUMN anabranch.difference.actual_state IS 'what the state table had';
COMMENT ON COLUMN anabranch.difference.seen_at IS 'when it was found';
COMMENT ON COLUMN anabranch.difference.outcome IS 'repaired; overwritten: the stream had written the row anew before; retained: of a partition that was removed; undetermined: in part perhaps; NULL: nothing was done';
COMMENT ON COLUMN anabranch.difference.repaired_at IS 'when it was put right';
COMMENT ON COLUMN anabranch.difference.repaired_lsn IS 'position of the copy in whose transaction it was put right';

-- What is asked. The functions in C check the caller and call the ones named carry_out_.

CREATE FUNCTION anabranch.require_provable(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stream regclass := (SELECT s.relation FROM anabranch.definition_source AS s JOIN pg_class AS c ON c.oid = s.relation
                      WHERE s.copy = $1 AND c.relnamespace = 'anabranch_stream'::regnamespace LIMIT 1);
BEGIN
  IF stream IS NOT NULL THEN
    RAISE EXCEPTION 'copy % cannot be proved: nothing keeps the messages of stream %', $1::regclass, stream
      USING ERRCODE = 'feature_not_supported', HINT = 'With log = "kafka" and the stream published, its topic holds them; anabranch audit proves that.';
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.require_provable(oid) IS 'raises feature_not_supported for a copy whose sources do not hold what it was made of';

CREATE FUNCTION anabranch.carry_out_verify(copy oid, mode text, keys jsonb, duty float8, repairs boolean, requested_by text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  number bigint;
  known  text := (SELECT p.state FROM anabranch.progress AS p WHERE p.copy = $1);
BEGIN
  IF $2 NOT IN ('full', 'sketch', 'keys', 'index') THEN
    RAISE EXCEPTION 'mode "%" is unknown', $2 USING ERRCODE = 'invalid_parameter_value', HINT = 'The modes are full, sketch and keys, and of an index outside the database index.';
  END IF;
  IF $4 IS NULL OR NOT $4 > 0 OR $4 > 1 THEN
    RAISE EXCEPTION 'duty % is not a share', $4
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It is above 0 and 1 at most; 0.1 reads the sources a tenth of the time.';
  END IF;
  IF ($3 IS NOT NULL) <> ($2 = 'keys') THEN
    RAISE EXCEPTION 'keys and mode "%" do not go together', $2
      USING ERRCODE = 'invalid_parameter_value', HINT = 'mode => ''keys'' compares what keys names; the other modes take none.';
  END IF;
  IF $3 IS NOT NULL AND (jsonb_typeof($3) <> 'array' OR $3 = '[]') THEN
    RAISE EXCEPTION 'keys are not a list'
      USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Write a list of objects by column, [{"customer": 7}], or of values where the copy has one group column, [7, 8].';
  END IF;
  IF $2 = 'index' THEN
    PERFORM anabranch.require_index($1);
  ELSE
    PERFORM anabranch.require_provable($1);
  END IF;
  IF known IS NULL OR known NOT IN ('live', 'waiting', 'filling', 'catching_up') THEN
    RAISE EXCEPTION 'copy % is %, and cannot be verified', $1::regclass, coalesce(known, 'unbound')
      USING ERRCODE = 'AN002', HINT = format('SELECT anabranch.resume(%L) first.', $1::regclass);
  END IF;
  INSERT INTO anabranch.verification AS v (copy, definition, mode, keys, document_keys, repairs, duty, requested_by)
  SELECT d.copy, d.id, $2, $3, anabranch.document_keys($1, $3), $5, $4, $6 FROM anabranch.definition AS d WHERE d.copy = $1
  RETURNING v.run INTO number;
  PERFORM anabranch.notice_absence();
  RETURN number;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_verify(oid, text, jsonb, float8, boolean, text) IS 'work of verify, once its caller is checked';

CREATE FUNCTION anabranch.carry_out_repair(run bigint, requested_by text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known  anabranch.verification;
  noted  record;
  number bigint;
BEGIN
  SELECT * INTO known FROM anabranch.verification AS v WHERE v.run = $1;
  IF known.state IN ('queued', 'running') THEN
    RAISE EXCEPTION 'verification % is not through', $1 USING ERRCODE = 'AN002', HINT = 'Wait for its end in anabranch.verifications.';
  END IF;
  IF NOT EXISTS (SELECT FROM anabranch.difference AS d WHERE d.run = $1 AND d.outcome IS NULL)
    AND coalesce(known.documents_differing <= coalesce(known.documents_repaired, 0), true) THEN
    RAISE NOTICE 'verification % has found nothing that is still to be repaired', $1;
    RETURN NULL;
  END IF;
  SELECT count(*) FILTER (WHERE d.held_by = 'copy') AS keys, count(*) FILTER (WHERE d.held_by = 'index') AS documents INTO noted
  FROM anabranch.difference AS d WHERE d.run = $1;
  IF known.differing > noted.keys THEN
    RAISE EXCEPTION 'verification % has found % keys to differ, too many to be repaired one by one', $1, known.differing USING ERRCODE = 'AN002',
      HINT = format('Fill the copy anew beside the old one: SELECT anabranch.rebuild(%L).', known.copy::regclass);
  END IF;
  INSERT INTO anabranch.verification AS v (copy, definition, mode, keys, document_keys, repairs, duty, requested_by)
  SELECT known.copy, known.definition, CASE WHEN bool_or(d.held_by = 'copy') THEN 'keys' ELSE 'index' END,
         jsonb_agg(d.key ORDER BY d.number) FILTER (WHERE d.held_by = 'copy'),
         -- Documents that were not noted are looked for, and those that somebody else has made, which have no key.
         CASE WHEN bool_and(d.held_by = 'copy' OR d.key ?& coalesce(x.key, '{}')) AND coalesce(known.documents_differing, 0) <= noted.documents
           THEN coalesce(jsonb_agg(d.key ORDER BY d.number) FILTER (WHERE d.held_by = 'index'), '[]') ELSE '[null]' END,
         true, 1, $2
  FROM anabranch.difference AS d LEFT JOIN anabranch.external_index AS x ON x.copy = known.copy WHERE d.run = $1 AND d.outcome IS NULL
  RETURNING v.run INTO number;
  PERFORM anabranch.notice_absence();
  RETURN number;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_repair(bigint, text) IS 'work of repair, once its caller is checked';

CREATE FUNCTION anabranch.carry_out_cancel(run bigint) RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  WITH cancelled AS (
    UPDATE anabranch.verification AS v
    SET cancelled = true, state = CASE v.state WHEN 'queued' THEN 'cancelled' ELSE v.state END,
        finished_at = CASE v.state WHEN 'queued' THEN clock_timestamp() END
    WHERE v.run = $1 AND v.state IN ('queued', 'running') RETURNING v.run)
  SELECT EXISTS (SELECT FROM cancelled)
$$;
COMMENT ON FUNCTION anabranch.carry_out_cancel(bigint) IS 'work of cancel, once its caller is checked';

CREATE FUNCTION anabranch.carry_out_verify_every(copy oid, every interval, duty float8) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF $2 < interval '1 s' THEN
    RAISE EXCEPTION 'a copy is verified once a second at most' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF $3 IS NULL OR NOT $3 > 0 OR $3 > 1 THEN
    RAISE EXCEPTION 'duty % is not a share', $3 USING ERRCODE = 'invalid_parameter_value', HINT = 'It is above 0 and 1 at most.';
  END IF;
  PERFORM anabranch.require_provable($1);
  UPDATE anabranch.definition AS d SET verify_every = $2, verify_duty = $3 WHERE d.copy = $1;
  PERFORM anabranch.notice_absence();
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_verify_every(oid, interval, float8) IS 'work of verify_every, once its caller is checked';

CREATE FUNCTION anabranch.verify(copy regclass, mode text DEFAULT 'full', keys jsonb DEFAULT NULL, duty float8 DEFAULT 0.1,
                                 repair boolean DEFAULT false) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_verify';
COMMENT ON FUNCTION anabranch.verify(regclass, text, jsonb, float8, boolean) IS
  'compares a copy with its definition, exactly, while both change; the number of the run, which anabranch.verifications shows';

CREATE FUNCTION anabranch.repair(run bigint) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_repair';
COMMENT ON FUNCTION anabranch.repair(bigint) IS
  'compares again what a verification has found to differ, and puts it right; the number of that run, NULL when there is nothing to do';

CREATE FUNCTION anabranch.cancel(run bigint) RETURNS boolean
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_cancel';
COMMENT ON FUNCTION anabranch.cancel(bigint) IS 'ends a verification; false: it has ended already';

CREATE FUNCTION anabranch.verify_every(copy regclass, every interval, duty float8 DEFAULT 0.1) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_verify_every';
COMMENT ON FUNCTION anabranch.verify_every(regclass, interval, float8) IS
  'has a copy verified whenever its last proof is older than this; NULL: no longer';

CREATE VIEW anabranch.verifications AS
SELECT v.run, v.copy, v.purpose, v.mode, v.state, v.method, v.repairs,
       CASE WHEN v.compared IS NOT NULL THEN greatest(fill.chunks, 1) ELSE coalesce(fill.chunks, 0) END AS chunks_done,
       greatest(fill.chunks, ceil(fill.chunks * fill.rows_total / nullif(fill.rows, 0)), 1)::bigint AS chunks_total,
       fill.time_left,
       v.compared AS keys_compared, v.compared / nullif(v.proof_seconds, 0) AS keys_per_second, v.documents AS documents_compared,
       sums.differing, found.repaired, found.left_over, v.retained, v.undetermined,
       CASE WHEN v.state NOT IN ('queued', 'running') THEN nullif(pg_catalog.concat_ws('; ', CASE
         WHEN v.compared IS NULL THEN NULL
         WHEN v.retained IS NOT NULL THEN pg_catalog.format(
           '%s of %s keys equal to the definition at LSN %s; %s are of removed partitions, %s may be in part, %s differ%s',
           v.compared - v.differing - v.retained - v.undetermined, v.compared, v.lsn, v.retained, v.undetermined, v.differing,
           CASE WHEN v.differing = 0 OR found.copy_left_over > 0 THEN '' ELSE ', all of them repaired' END)
         WHEN v.differing = 0 AND v.mode = 'keys' THEN pg_catalog.format('equal to its definition at LSN %s, all keys named (%s)', v.lsn, v.compared)
         WHEN v.differing = 0 AND v.mode = 'sketch' THEN pg_catalog.format('its sums are those of its definition at LSN %s', v.lsn)
         WHEN v.differing = 0 THEN pg_catalog.format('equal to its definition at LSN %s, 100 %% of keys', v.lsn)
         ELSE pg_catalog.format('%s of %s keys differ from the definition at LSN %s%s', v.differing, v.compared, v.lsn,
                                CASE WHEN found.copy_left_over > 0 THEN '' ELSE ', all of them repaired' END)
       END, CASE
         WHEN v.documents IS NULL THEN NULL
         WHEN v.documents_differing = 0 THEN pg_catalog.format('the index holds what the copy holds at LSN %s, %s documents', v.documents_lsn, v.documents)
         ELSE pg_catalog.format('%s of %s documents of the index differ from the copy at LSN %s%s', v.documents_differing, v.documents, v.documents_lsn,
                                CASE WHEN found.index_left_over > 0 THEN '' ELSE ', all of them repaired' END)
       END), '') END AS verdict,
       v.lsn, v.snapshot, v.waiting, v.reason, v.duty, v.keys, nullif(v.requested_by, '') AS requested_by, v.requested_at, v.started_at, v.proved_at,
       v.finished_at
FROM anabranch.verification AS v
LEFT JOIN LATERAL (
  SELECT (SELECT count(*) FROM anabranch.fill_chunk AS c WHERE c.copy = p.copy) AS chunks, p.fill_rows::float8 AS rows,
         p.fill_rows_total::float8 AS rows_total,
         CASE WHEN p.state = 'filling' THEN pg_catalog.make_interval(
           secs => greatest(p.fill_rows_total - p.fill_rows, 0)
                   * (extract(epoch FROM pg_catalog.clock_timestamp() - p.fill_started_at)::float8 / nullif(p.fill_rows, 0))) END AS time_left
  FROM anabranch.progress AS p WHERE p.copy = v.twin) AS fill ON true
CROSS JOIN LATERAL (SELECT coalesce(v.differing + v.documents_differing, v.differing, v.documents_differing)) AS sums (differing)
CROSS JOIN LATERAL (
  SELECT d.keys + d.documents AS repaired, sums.differing - d.keys - d.documents AS left_over, v.differing - d.keys AS copy_left_over,
         v.documents_differing - d.documents AS index_left_over
  FROM (SELECT count(*) AS keys, coalesce(v.documents_repaired, 0) AS documents
        FROM anabranch.difference AS f WHERE f.run = v.run AND f.held_by = 'copy' AND f.outcome IN ('repaired', 'overwritten')) AS d) AS found
ORDER BY v.run;
COMMENT ON VIEW anabranch.verifications IS 'each verification: how far it is, and its verdict';
COMMENT ON COLUMN anabranch.verifications.run IS 'number of the run';
COMMENT ON COLUMN anabranch.verifications.copy IS 'the copy';
COMMENT ON COLUMN anabranch.verifications.purpose IS 'verify, or rebuild or alter: then the twin takes the copy''s place';
COMMENT ON COLUMN anabranch.verifications.time_left IS 'of the fill of a twin, estimated from its rate';
COMMENT ON COLUMN anabranch.verifications.mode IS 'full, sketch, keys or index';
COMMENT ON COLUMN anabranch.verifications.state IS 'queued, running, done, failed or cancelled';
COMMENT ON COLUMN anabranch.verifications.method IS 'pass: in one statement over the sources; twin: by a second copy that is filled beside it';
COMMENT ON COLUMN anabranch.verifications.repairs IS 'whether what differs is put right';
COMMENT ON COLUMN anabranch.verifications.chunks_done IS 'chunks of the sources read';
COMMENT ON COLUMN anabranch.verifications.chunks_total IS 'chunks there are, estimated';
COMMENT ON COLUMN anabranch.verifications.keys_compared IS 'groups or rows compared';
COMMENT ON COLUMN anabranch.verifications.keys_per_second IS 'rate of the comparison';
COMMENT ON COLUMN anabranch.verifications.documents_compared IS 'documents of an index compared with its copy';
COMMENT ON COLUMN anabranch.verifications.differing IS 'how many of all these differed';
COMMENT ON COLUMN anabranch.verifications.repaired IS 'how many were put right since';
COMMENT ON COLUMN anabranch.verifications.left_over IS 'how many still differ, as far as is known';
COMMENT ON COLUMN anabranch.verifications.retained IS 'how many the sources no longer explain, of partitions that were removed; NULL: the copy keeps none';
COMMENT ON COLUMN anabranch.verifications.undetermined IS 'how many may be of such partitions in part: neither equal nor differing';
COMMENT ON COLUMN anabranch.verifications.verdict IS 'what was proved; NULL: nothing (yet)';
COMMENT ON COLUMN anabranch.verifications.lsn IS 'position of the copy that the verdict holds at';
COMMENT ON COLUMN anabranch.verifications.snapshot IS 'what the comparison saw of the sources';
COMMENT ON COLUMN anabranch.verifications.waiting IS 'what the run waits for';
COMMENT ON COLUMN anabranch.verifications.reason IS 'why it has failed';
COMMENT ON COLUMN anabranch.verifications.duty IS 'share of the time in which the sources are read';
COMMENT ON COLUMN anabranch.verifications.keys IS 'which, for mode keys';
COMMENT ON COLUMN anabranch.verifications.requested_by IS 'who asked; NULL: it was due (verify_every)';
COMMENT ON COLUMN anabranch.verifications.requested_at IS 'when it was asked for';
COMMENT ON COLUMN anabranch.verifications.started_at IS 'when the sidecar began';
COMMENT ON COLUMN anabranch.verifications.proved_at IS 'when copy and sources were compared';
COMMENT ON COLUMN anabranch.verifications.finished_at IS 'when it ended';

CREATE VIEW anabranch.differences WITH (security_barrier = true) AS
SELECT d.run, v.copy, d.held_by, d.class, d.key, d.expected, d.actual, d.expected_state, d.actual_state, d.seen_at, d.outcome, d.repaired_at, d.repaired_lsn
FROM anabranch.difference AS d JOIN anabranch.verification AS v ON v.run = d.run
-- Contents of the copy: for those who may read it.
WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = v.copy)
  AND pg_catalog.has_table_privilege(v.copy, 'SELECT')
ORDER BY d.run, d.number;
COMMENT ON VIEW anabranch.differences IS 'what verifications have found to differ, of copies that the reader may select from';
COMMENT ON COLUMN anabranch.differences.run IS 'the run that found it';
COMMENT ON COLUMN anabranch.differences.copy IS 'the copy';
COMMENT ON COLUMN anabranch.differences.held_by IS 'copy: it differs from its definition; index: from the copy';
COMMENT ON COLUMN anabranch.differences.class IS 'missing, extra, wrong or duplicate';
COMMENT ON COLUMN anabranch.differences.key IS 'columns by which the group is found; of a copy of rows the row''s key, in hexadecimal';
COMMENT ON COLUMN anabranch.differences.expected IS 'the row as the definition has it; NULL: none';
COMMENT ON COLUMN anabranch.differences.actual IS 'the row as the copy had it; NULL: none';
COMMENT ON COLUMN anabranch.differences.expected_state IS 'the same as a row of the state table, hidden counters included';
COMMENT ON COLUMN anabranch.differences.actual_state IS 'what the state table had';
COMMENT ON COLUMN anabranch.differences.seen_at IS 'when it was found';
COMMENT ON COLUMN anabranch.differences.outcome IS 'repaired; overwritten: the stream had written the row anew before; retained: of a partition that was removed; undetermined: in part perhaps; NULL: nothing was done';
COMMENT ON COLUMN anabranch.differences.repaired_at IS 'when it was put right';
COMMENT ON COLUMN anabranch.differences.repaired_lsn IS 'position of the copy then';
