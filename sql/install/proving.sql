-- What the sidecar does about a proof, step by step: takes the next one, begins it, records what was found, puts it right.

-- Once per row of a source, and looks no name up: to pin a search_path would cost more than all it does.
CREATE FUNCTION anabranch.row_key(numbers int2[], VARIADIC "values" "any") RETURNS bytea
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_row_key';
COMMENT ON FUNCTION anabranch.row_key(int2[], VARIADIC "any") IS 'the key of a copy''s row from values of columns with these numbers';

CREATE FUNCTION anabranch.prove(copy oid, delta bytea, expected_state oid, keys jsonb, buckets int, differences_max bigint,
                                OUT class text, OUT key jsonb, OUT expected jsonb, OUT actual jsonb, OUT expected_state_row text,
                                OUT actual_state_row text, OUT compared bigint, OUT differing bigint) RETURNS SETOF record
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_prove';
COMMENT ON FUNCTION anabranch.prove(oid, bytea, oid, jsonb, int, bigint) IS
  'what differs between a copy and its definition, or between its state and that of a twin; the last row has the counts';

CREATE FUNCTION anabranch.correct(copy oid, run bigint, delta bytea) RETURNS bigint[]
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_correct';
COMMENT ON FUNCTION anabranch.correct(oid, bigint, bytea) IS 'merges what the differences of a run say is missing, or too much; which ones';

CREATE FUNCTION anabranch.give_way() RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_give_way';
COMMENT ON FUNCTION anabranch.give_way() IS
  'for the rest of the session: no parallel workers, and a tenth of a processor where others want it, too';

-- Of several that are to be done, what was begun comes first, then what was asked for, then the copy whose proof is oldest.
CREATE FUNCTION anabranch.next_verification(OUT run bigint, OUT copy oid, OUT name text, OUT mode text, OUT repairs boolean,
                                            OUT duty float8, OUT method text, OUT purpose text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE anabranch.verification AS v
  SET state = 'failed', reason = 'the copy was dropped or defined anew', finished_at = clock_timestamp(), waiting = NULL
  WHERE v.state IN ('queued', 'running')
    AND NOT EXISTS (SELECT FROM anabranch.definition AS d WHERE d.copy = v.copy AND d.id = v.definition);
  IF NOT EXISTS (SELECT FROM anabranch.verification AS v WHERE v.state IN ('queued', 'running')) THEN
    INSERT INTO anabranch.verification (copy, definition, mode, repairs, duty, requested_by)
    SELECT d.copy, d.id, 'full', false, d.verify_duty, ''
    FROM anabranch.definition AS d JOIN anabranch.progress AS p ON p.copy = d.copy
    CROSS JOIN LATERAL (SELECT max(v.finished_at) FROM anabranch.verification AS v WHERE v.copy = d.copy AND v.mode IN ('full', 'sketch')) AS last (at)
    WHERE p.state = 'live' AND d.verify_every IS NOT NULL AND d.twin_of IS NULL
      AND coalesce(last.at < clock_timestamp() - d.verify_every, true)
    ORDER BY last.at NULLS FIRST LIMIT 1;
  END IF;
  SELECT v.run, v.copy, v.copy::regclass::text, v.mode, v.repairs, v.duty, v.method, v.purpose
  INTO next_verification.run, next_verification.copy, next_verification.name, next_verification.mode, next_verification.repairs,
       next_verification.duty, next_verification.method, next_verification.purpose
  FROM anabranch.verification AS v
  WHERE v.state IN ('queued', 'running') ORDER BY v.state = 'queued', v.run LIMIT 1;
  IF FOUND THEN
    UPDATE anabranch.verification AS v
    SET state = 'running', started_at = coalesce(v.started_at, clock_timestamp()), waiting = NULL
    WHERE v.run = next_verification.run;
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.next_verification() IS 'the verification to do now; NULL: none';

CREATE FUNCTION anabranch.note_verification(run bigint, waiting text DEFAULT NULL, method text DEFAULT NULL) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE anabranch.verification AS v SET waiting = $2, method = coalesce($3, v.method) WHERE v.run = $1 AND v.state = 'running';
  SELECT coalesce((SELECT NOT v.cancelled FROM anabranch.verification AS v WHERE v.run = $1 AND v.state = 'running'), false)
$$;
COMMENT ON FUNCTION anabranch.note_verification(bigint, text, text) IS 'says what a run waits for, and how it is done; false: it was cancelled';

CREATE FUNCTION anabranch.end_verification(run bigint, state text, reason text DEFAULT NULL) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE anabranch.verification AS v
  SET state = $2, reason = coalesce(v.reason, $3), waiting = NULL, finished_at = clock_timestamp()
  WHERE v.run = $1 AND v.state = 'running'
$$;
COMMENT ON FUNCTION anabranch.end_verification(bigint, text, text) IS 'ends a run: done, failed or cancelled';

-- TRUNCATE and rewrites are not MVCC-safe: what was emptied after our snapshot would look as if it always had been. The tables are
-- locked, and then it is asked whether their files are the ones that the snapshot knows.
CREATE FUNCTION anabranch.begin_proof(run bigint, OUT snapshot pg_catalog.pg_snapshot, OUT lsn pg_catalog.pg_lsn,
                                      OUT inserted pg_catalog.pg_lsn)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  the_copy regclass := (SELECT v.copy FROM anabranch.verification AS v WHERE v.run = begin_proof.run);
  leaf     oid;
BEGIN
  IF current_setting('transaction_isolation') <> 'repeatable read' THEN
    RAISE EXCEPTION 'a proof needs isolation level REPEATABLE READ' USING ERRCODE = 'active_sql_transaction';
  END IF;
  -- After the snapshot: every transaction that it shows ends at or before here. And before we write ourselves: what is not
  -- flushed is not decoded.
  begin_proof.snapshot := pg_current_snapshot();
  begin_proof.inserted := pg_current_wal_insert_lsn();
  FOR leaf IN
    SELECT l FROM anabranch.definition_source AS s, anabranch.leaves(s.relation) AS l WHERE s.copy = the_copy
  LOOP
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', leaf::regclass);
    IF (SELECT c.relfilenode FROM pg_class AS c WHERE c.oid = leaf) IS DISTINCT FROM pg_relation_filenode(leaf) THEN
      RAISE EXCEPTION 'table % was emptied or rewritten just now', leaf::regclass USING ERRCODE = 'serialization_failure';
    END IF;
  END LOOP;
  SELECT CASE p.state WHEN 'live' THEN greatest(p.lsn, h.lsn) END INTO begin_proof.lsn
  FROM anabranch.progress AS p CROSS JOIN anabranch.source AS h WHERE p.copy = the_copy AND h.name = 'home';
  IF begin_proof.lsn IS NULL THEN
    RAISE EXCEPTION 'copy % is not live', the_copy USING ERRCODE = 'AN002', HINT = 'It is verified as soon as it is.';
  END IF;
  UPDATE anabranch.verification AS v
  SET live_since = (SELECT p.live_since FROM anabranch.progress AS p WHERE p.copy = the_copy)
  WHERE v.run = begin_proof.run;
END
$$;
COMMENT ON FUNCTION anabranch.begin_proof(bigint) IS
  'begins a proof in the transaction that is open: locks the sources against TRUNCATE, and tells what the snapshot shows, where the copy stands, and what to read of the log';

-- A copy that keeps rows of removed partitions has more than its sources. What only it has, these explain; where it has other
-- contents, nobody can tell which part is theirs, nor of what is beyond the list. What it lacks differs.
CREATE FUNCTION anabranch.set_retained_apart(run bigint, differing bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  counted record;
BEGIN
  UPDATE anabranch.difference AS d SET outcome = CASE d.class WHEN 'extra' THEN 'retained' ELSE 'undetermined' END
  WHERE d.run = $1 AND d.held_by = 'copy' AND d.outcome IS NULL AND d.class IN ('extra', 'wrong');
  SELECT count(*) AS listed, count(*) FILTER (WHERE d.outcome = 'retained') AS retained,
         count(*) FILTER (WHERE d.outcome = 'undetermined') AS undetermined, count(*) FILTER (WHERE d.outcome IS NULL) AS differing
  INTO counted FROM anabranch.difference AS d
  WHERE d.run = $1 AND d.held_by = 'copy' AND (d.outcome IS NULL OR d.outcome IN ('retained', 'undetermined'));
  UPDATE anabranch.verification AS v
  SET retained = counted.retained, undetermined = counted.undetermined + greatest($2 - counted.listed, 0) WHERE v.run = $1;
  RETURN counted.differing;
END
$$;
COMMENT ON FUNCTION anabranch.set_retained_apart(bigint, bigint) IS 'takes what removed partitions explain, or may, out of what differs; how much still does';

-- What it has repaired differed, and was there: that stays.
CREATE FUNCTION anabranch.forget_unrepaired(run bigint, OUT repaired bigint, OUT place bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM anabranch.difference AS d
  WHERE d.run = $1 AND d.held_by = 'copy' AND d.outcome IS DISTINCT FROM 'repaired' AND d.outcome IS DISTINCT FROM 'overwritten';
  SELECT count(*) FILTER (WHERE d.held_by = 'copy'), coalesce(max(d.number), 0) INTO repaired, place FROM anabranch.difference AS d WHERE d.run = $1;
END
$$;
COMMENT ON FUNCTION anabranch.forget_unrepaired(bigint) IS
  'before a run that was cut off compares again: deletes what it had found and not repaired; how much it had, and the last number';

CREATE FUNCTION anabranch.record_proof(run bigint, delta bytea, expected_state oid, buckets int, differences_max bigint,
                                       OUT compared bigint, OUT differing bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.verification;
  began timestamptz := clock_timestamp();
  found record;
  before record;
  place bigint;
BEGIN
  SELECT * INTO STRICT known FROM anabranch.verification AS v WHERE v.run = record_proof.run;
  SELECT * INTO before FROM anabranch.forget_unrepaired(known.run);
  place := before.place;
  FOR found IN
    SELECT * FROM anabranch.prove(known.copy, record_proof.delta, record_proof.expected_state, known.keys, record_proof.buckets,
                                  record_proof.differences_max)
  LOOP
    IF found.class IS NULL THEN
      record_proof.compared := found.compared;
      record_proof.differing := found.differing;
    ELSE
      place := place + 1;
      INSERT INTO anabranch.difference AS d (run, number, class, key, expected, actual, expected_state, actual_state)
      VALUES (known.run, place, found.class, found.key, found.expected, found.actual, found.expected_state_row, found.actual_state_row);
    END IF;
  END LOOP;
  IF EXISTS (SELECT FROM anabranch.retained AS r WHERE r.copy = known.copy) THEN
    record_proof.differing := anabranch.set_retained_apart(known.run, record_proof.differing);
  END IF;
  UPDATE anabranch.verification AS v
  SET lsn = (SELECT greatest(p.lsn, h.lsn) FROM anabranch.progress AS p CROSS JOIN anabranch.source AS h
             WHERE p.copy = known.copy AND h.name = 'home'),
      snapshot = pg_current_snapshot(), compared = record_proof.compared, differing = record_proof.differing + before.repaired,
      proved_at = clock_timestamp(), proof_seconds = extract(epoch FROM clock_timestamp() - began)
  WHERE v.run = known.run;
END
$$;
COMMENT ON FUNCTION anabranch.record_proof(bigint, bytea, oid, int, bigint) IS 'compares, and records what differs, in the transaction of begin_proof';

CREATE FUNCTION anabranch.begin_correction(run bigint, source text, token bigint) RETURNS pg_catalog.pg_lsn
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.verification;
  here  pg_lsn;
BEGIN
  -- The batch under way ends first; the next one waits until the corrections are in.
  LOCK TABLE anabranch.source IN EXCLUSIVE MODE;
  IF NOT EXISTS (SELECT FROM anabranch.source AS s WHERE s.name = begin_correction.source AND s.token = begin_correction.token) THEN
    PERFORM anabranch.raise_fenced(begin_correction.token);
  END IF;
  SELECT * INTO STRICT known FROM anabranch.verification AS v WHERE v.run = begin_correction.run;
  SELECT greatest(p.lsn, h.lsn) INTO here
  FROM anabranch.progress AS p JOIN anabranch.definition AS d ON d.copy = p.copy CROSS JOIN anabranch.source AS h
  WHERE p.copy = known.copy AND d.id = known.definition AND p.state = 'live' AND p.live_since = known.live_since AND h.name = 'home';
  IF here IS NULL THEN
    RAISE EXCEPTION 'copy % is not what was verified any more', known.copy
      USING ERRCODE = 'AN002', HINT = 'Verify it again.';
  END IF;
  RETURN here;
END
$$;
COMMENT ON FUNCTION anabranch.begin_correction(bigint, text, bigint) IS
  'keeps batches out for the rest of the transaction, and tells the position that the copy has reached';

CREATE FUNCTION anabranch.record_correction(run bigint, lsn pg_catalog.pg_lsn, delta bytea, OUT repaired bigint, OUT overwritten bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  the_copy oid := (SELECT v.copy FROM anabranch.verification AS v WHERE v.run = record_correction.run);
  numbers  bigint[];
BEGIN
  numbers := anabranch.correct(the_copy, record_correction.run, record_correction.delta);
  UPDATE anabranch.difference AS d
  SET outcome = CASE WHEN d.number = ANY (numbers) THEN 'repaired' ELSE 'overwritten' END,
      repaired_at = clock_timestamp(), repaired_lsn = record_correction.lsn
  WHERE d.run = record_correction.run AND d.outcome IS NULL AND d.class <> 'duplicate';
  SELECT count(*) FILTER (WHERE d.outcome = 'repaired'), count(*) FILTER (WHERE d.outcome = 'overwritten')
  INTO record_correction.repaired, record_correction.overwritten
  FROM anabranch.difference AS d WHERE d.run = record_correction.run;
END
$$;
COMMENT ON FUNCTION anabranch.record_correction(bigint, pg_catalog.pg_lsn, bytea) IS
  'puts right what a run has found, and notes it, in the transaction of begin_correction';
