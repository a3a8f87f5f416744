-- Twins: a second copy beside a copy. It is compared with it and dropped (verify, where the sources are too large for one snapshot),
-- or takes its place (rebuild, alter_aggregate_table). A twin is filled and kept as any copy is, so once both are live they stand at
-- the same position, always.

CREATE FUNCTION anabranch.create_twin(copy oid, query text, purpose text) RETURNS regclass
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_create_twin';
COMMENT ON FUNCTION anabranch.create_twin(oid, text, text) IS
  'makes a twin of a copy, as the copy''s owner; query NULL: of the same definition';

CREATE FUNCTION anabranch.replace_view(copy oid, query text) RETURNS void
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_replace_view';
COMMENT ON FUNCTION anabranch.replace_view(oid, text) IS 'gives a copy''s view another query: grants and dependants stay';

-- Indexes that were added to the copy: the twin has them before it is filled. One over a column that is gone is left out.
CREATE FUNCTION anabranch.give_indexes(from_state regclass, to_state regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  added record;
  start text;
BEGIN
  FOR added IN
    SELECT i.indexrelid, c.relname, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = from_state
      AND i.indexrelid <> (SELECT min(k.indexrelid::bigint)::oid FROM pg_index AS k WHERE k.indrelid = from_state)  -- that of the key
    ORDER BY i.indexrelid
  LOOP
    start := format('CREATE INDEX %I ON %s USING ', added.relname, from_state);
    CONTINUE WHEN NOT starts_with(added.definition, start)
      -- The one by which an index's documents are found is there from the start.
      OR EXISTS (SELECT FROM pg_index AS t WHERE t.indrelid = to_state AND split_part(pg_get_indexdef(t.indexrelid), ' USING ', 2) = substr(added.definition, length(start) + 1));
    BEGIN
      EXECUTE format('CREATE INDEX ON %s USING %s', to_state, substr(added.definition, length(start) + 1));
    EXCEPTION WHEN undefined_column THEN
      RAISE WARNING 'index % is not made again: %', added.relname, sqlerrm
        USING HINT = 'Add one with anabranch.add_index once the new definition is in place.';
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.give_indexes(regclass, regclass) IS 'makes the indexes of one state table on another';

CREATE FUNCTION anabranch.dependants(copy oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT string_agg(DISTINCT pg_describe_object(CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END,
                                                coalesce(r.ev_class, d.objid), 0), ', ')
  FROM pg_depend AS d LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'n' AND r.ev_class IS DISTINCT FROM $1
$$;
COMMENT ON FUNCTION anabranch.dependants(oid) IS 'what is built on a copy''s view; NULL: nothing';

-- same: the columns are the same; more: the second has further ones behind them; other: else.
CREATE FUNCTION anabranch.compare_columns(one oid, other oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN count(*) FILTER (WHERE o.attnum IS NULL OR a.attnum IS NOT NULL AND ROW(a.attname, a.atttypid, a.atttypmod, a.attcollation)
                                                    IS DISTINCT FROM ROW(o.attname, o.atttypid, o.atttypmod, o.attcollation)) > 0 THEN 'other'
    WHEN count(*) FILTER (WHERE a.attnum IS NULL) > 0 THEN 'more'
    ELSE 'same' END
  FROM (SELECT * FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped) AS a
  FULL JOIN (SELECT * FROM pg_attribute WHERE attrelid = $2 AND attnum > 0 AND NOT attisdropped) AS o ON o.attnum = a.attnum
$$;
COMMENT ON FUNCTION anabranch.compare_columns(oid, oid) IS 'how the columns of two views relate: same, more or other';

CREATE FUNCTION anabranch.begin_twin(run bigint) RETURNS regclass
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.verification;
BEGIN
  SELECT * INTO STRICT known FROM anabranch.verification AS v WHERE v.run = begin_twin.run;
  IF known.twin IS NULL THEN
    known.twin := anabranch.create_twin(known.copy, NULL, 'proof');
    UPDATE anabranch.verification AS v SET twin = known.twin, method = 'twin' WHERE v.run = known.run;
  END IF;
  RETURN known.twin;
END
$$;
COMMENT ON FUNCTION anabranch.begin_twin(bigint) IS 'makes the twin of a verification, unless there is one';

CREATE FUNCTION anabranch.twin_state(run bigint, OUT state text, OUT reason text, OUT lsn pg_catalog.pg_lsn, OUT copy_lives boolean,
                                     OUT swap boolean, OUT swapped boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.state, concat_ws(': ', p.sqlstate, p.reason),
         -- Level with each other once the batches have passed where the later of the two joined.
         CASE WHEN p.state = 'live' AND c.state = 'live' AND h.lsn >= greatest(p.lsn, c.lsn) THEN h.lsn END,
         coalesce(c.state NOT IN ('failed', 'stale', 'paused'), false), v.swap,
         v.swapped
  FROM anabranch.verification AS v
  LEFT JOIN anabranch.definition AS d ON d.copy = v.twin
  LEFT JOIN anabranch.progress AS p ON p.copy = v.twin
  LEFT JOIN anabranch.progress AS c ON c.copy = v.copy
  LEFT JOIN anabranch.source AS h ON h.name = 'home'
  WHERE v.run = $1
$$;
COMMENT ON FUNCTION anabranch.twin_state(bigint) IS 'how far the twin of a run is; lsn: position of both, once they are level with each other';

CREATE FUNCTION anabranch.record_twin_proof(run bigint, differences_max bigint, OUT lsn pg_catalog.pg_lsn, OUT compared bigint, OUT differing bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.verification;
  began timestamptz := clock_timestamp();
  -- Of the transaction's snapshot, which the comparison has, too.
  found record;
  place bigint := 0;
  level pg_lsn := (SELECT t.lsn FROM anabranch.twin_state(record_twin_proof.run) AS t);
BEGIN
  IF current_setting('transaction_isolation') <> 'repeatable read' THEN
    RAISE EXCEPTION 'a proof needs isolation level REPEATABLE READ' USING ERRCODE = 'active_sql_transaction';
  END IF;
  IF level IS NULL THEN
    RAISE EXCEPTION 'the twin of run % is not level with its copy', record_twin_proof.run USING ERRCODE = 'serialization_failure';
  END IF;
  SELECT * INTO STRICT known FROM anabranch.verification AS v WHERE v.run = record_twin_proof.run;
  IF known.purpose = 'alter' THEN
    DELETE FROM anabranch.difference AS d WHERE d.run = known.run;
    FOR found IN SELECT * FROM anabranch.prove_rows(known.copy, known.twin, record_twin_proof.differences_max) LOOP
      IF found.class IS NULL THEN
        record_twin_proof.compared := found.compared;
        record_twin_proof.differing := found.differing;
      ELSE
        place := place + 1;
        INSERT INTO anabranch.difference AS d (run, number, class, key, expected, actual)
        VALUES (known.run, place, found.class, found.key, found.expected, found.actual);
      END IF;
    END LOOP;
    UPDATE anabranch.verification AS v SET compared = record_twin_proof.compared, differing = record_twin_proof.differing WHERE v.run = known.run;
  ELSE
    SELECT r.compared, r.differing INTO record_twin_proof.compared, record_twin_proof.differing
    FROM anabranch.record_proof(known.run, NULL, (SELECT d.state FROM anabranch.definition AS d WHERE d.copy = known.twin), 0,
                                record_twin_proof.differences_max) AS r;
  END IF;
  record_twin_proof.lsn := level;
  UPDATE anabranch.verification AS v
  SET lsn = level, snapshot = pg_current_snapshot(), proved_at = clock_timestamp(),
      proof_seconds = extract(epoch FROM clock_timestamp() - began),
      live_since = (SELECT p.live_since FROM anabranch.progress AS p WHERE p.copy = known.copy)
  WHERE v.run = known.run;
END
$$;
COMMENT ON FUNCTION anabranch.record_twin_proof(bigint, bigint) IS 'compares a copy with its twin, both at one position, and records what differs';

-- What a new rule changes: rows that only the old one has (extra) or only the new one (missing), by the columns that both have.
CREATE FUNCTION anabranch.prove_rows(copy oid, twin oid, differences_max bigint,
                                     OUT class text, OUT key jsonb, OUT expected jsonb, OUT actual jsonb, OUT expected_state_row text,
                                     OUT actual_state_row text, OUT compared bigint, OUT differing bigint) RETURNS SETOF record
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_prove_rows';
COMMENT ON FUNCTION anabranch.prove_rows(oid, oid, bigint) IS 'rows that one of two copies has and the other has not; the last row has the counts';

CREATE FUNCTION anabranch.end_twin(run bigint, keep boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  known anabranch.verification;
BEGIN
  SELECT * INTO STRICT known FROM anabranch.verification AS v WHERE v.run = end_twin.run;
  IF NOT keep AND EXISTS (SELECT FROM anabranch.definition AS d WHERE d.copy = known.twin AND d.twin_of IS NOT NULL) THEN
    PERFORM anabranch.forget(ARRAY[known.twin::oid]);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.end_twin(bigint, boolean) IS 'drops the twin of a run, unless it is kept';

CREATE FUNCTION anabranch.request_swap(run bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE anabranch.definition AS d SET swap = true FROM anabranch.verification AS v WHERE v.run = $1 AND d.copy = v.twin AND d.twin_of IS NOT NULL
$$;
COMMENT ON FUNCTION anabranch.request_swap(bigint) IS 'has the twin of a run take its copy''s place';

CREATE FUNCTION anabranch.give_up_swap(twin oid, reason text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE anabranch.definition AS d SET swap = false WHERE d.copy = $1;
  UPDATE anabranch.verification AS v SET cancelled = true, reason = $2 WHERE v.twin = $1 AND v.state = 'running'
$$;
COMMENT ON FUNCTION anabranch.give_up_swap(oid, text) IS 'says that a twin cannot take its copy''s place';

CREATE FUNCTION anabranch.twins_to_swap() RETURNS SETOF oid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.copy::oid FROM anabranch.definition AS d
  JOIN anabranch.progress AS p ON p.copy = d.copy JOIN anabranch.progress AS c ON c.copy = d.twin_of
  CROSS JOIN anabranch.source AS h
  -- The position of a copy that is not kept in step says nothing; it may be of a log that is gone.
  WHERE d.swap AND d.purpose <> 'proof' AND p.state = 'live' AND h.name = 'home'
    AND h.lsn >= greatest(p.lsn, CASE WHEN c.state = 'live' THEN c.lsn END)
    AND c.state IN ('live', 'failed', 'stale', 'paused')
  ORDER BY d.id
$$;
COMMENT ON FUNCTION anabranch.twins_to_swap() IS 'twins that are to take their copies'' places, and can';

-- Readers see the old rows until this commits, and the new ones from then on; the view's lock is all they may wait for.
CREATE FUNCTION anabranch.carry_out_swap(twin oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  new_one anabranch.definition;
  old_one anabranch.definition;
  columns text;
BEGIN
  SELECT * INTO STRICT new_one FROM anabranch.definition AS d WHERE d.copy = $1 FOR UPDATE;
  SELECT * INTO STRICT old_one FROM anabranch.definition AS d WHERE d.copy = new_one.twin_of FOR UPDATE;
  -- A partition went before anything of it had been read into the twin.
  IF EXISTS (SELECT FROM anabranch.retained AS r
             WHERE r.copy = old_one.copy AND NOT EXISTS (SELECT FROM anabranch.retained AS n WHERE n.copy = new_one.copy AND n.leaf = r.leaf)) THEN
    PERFORM anabranch.require_nothing_retained(old_one.copy);
  END IF;
  UPDATE anabranch.verification AS v SET swapped = true WHERE v.twin = new_one.copy;
  columns := anabranch.compare_columns(old_one.copy, new_one.copy);
  IF columns = 'other' THEN
    PERFORM anabranch.swap_names(old_one, new_one);
    PERFORM anabranch.follow_swap(old_one.copy, old_one.state, new_one.copy);
  ELSE
    PERFORM anabranch.swap_contents(old_one, new_one, columns);
    PERFORM anabranch.follow_swap(old_one.copy, old_one.state, old_one.copy);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_swap(oid) IS 'a twin and its copy change places, between two batches';

-- The views stay, with all that depends on them; what is behind them changes places.
CREATE FUNCTION anabranch.swap_contents(old_one anabranch.definition, new_one anabranch.definition, columns text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  more text;
BEGIN
  -- A view keeps its columns: those that the former definition does not have are NULL from then on in what it shows.
  IF columns = 'more' THEN
    SELECT string_agg(format(', NULL::%s AS %I', format_type(a.atttypid, a.atttypmod), a.attname), '' ORDER BY a.attnum) INTO more
    FROM pg_attribute AS a
    WHERE a.attrelid = new_one.copy AND a.attnum > (SELECT max(o.attnum) FROM pg_attribute AS o WHERE o.attrelid = old_one.copy);
    old_one.shown_view := format('SELECT former.*%s FROM (%s) AS former', more, old_one.shown_view);
    UPDATE anabranch.definition AS d SET shown_view = old_one.shown_view WHERE d.copy = old_one.copy;
  END IF;
  UPDATE anabranch.definition AS d
  SET state = other.state, class = other.class, requested = other.requested, query = other.query, shape = other.shape, search_path = other.search_path, fold = other.fold,
      merge = other.merge, functions = other.functions, document_key = other.document_key, shown_view = other.shown_view, created_at = other.created_at,
      purpose = CASE WHEN d.copy = new_one.copy THEN 'former' END, swap = false
  FROM anabranch.definition AS other
  WHERE d.copy = old_one.copy AND other.copy = new_one.copy OR d.copy = new_one.copy AND other.copy = old_one.copy;
  UPDATE anabranch.definition_source AS s
  SET copy = CASE WHEN s.copy = old_one.copy THEN new_one.copy ELSE old_one.copy END
  WHERE s.copy IN (old_one.copy, new_one.copy);
  UPDATE anabranch.retained AS r
  SET copy = CASE WHEN r.copy = old_one.copy THEN new_one.copy ELSE old_one.copy END
  WHERE r.copy IN (old_one.copy, new_one.copy);
  DELETE FROM anabranch.fill_chunk AS f WHERE f.copy IN (old_one.copy, new_one.copy);
  -- A copy that had failed, or was paused, is as live now as its twin was; what was wrong with it goes with its contents.
  UPDATE anabranch.progress AS p
  SET state = other.state, lsn = other.lsn, sqlstate = other.sqlstate, reason = other.reason, failed_lsn = other.failed_lsn,
      fill_slot = other.fill_slot, fill_rows = other.fill_rows, fill_rows_total = other.fill_rows_total,
      fill_started_at = other.fill_started_at, live_since = other.live_since, changed_at = now()
  FROM anabranch.progress AS other
  WHERE p.copy = old_one.copy AND other.copy = new_one.copy OR p.copy = new_one.copy AND other.copy = old_one.copy;
  PERFORM anabranch.replace_view(old_one.copy, new_one.shown_view);
  PERFORM anabranch.replace_view(new_one.copy, old_one.shown_view);
  EXECUTE format('COMMENT ON TABLE %s IS %L', new_one.state, format('state of %s; written by anabranch alone', old_one.copy));
  EXECUTE format('COMMENT ON TABLE %s IS %L', old_one.state, format('state of %s; written by anabranch alone', new_one.copy));
END
$$;
COMMENT ON FUNCTION anabranch.swap_contents(anabranch.definition, anabranch.definition, text) IS
  'swap of two copies whose views have the same columns, or the twin''s more behind them';

-- The views change names: nothing may depend on the old one, whose columns the new one does not have.
CREATE FUNCTION anabranch.swap_names(old_one anabranch.definition, new_one anabranch.definition) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  built_on text := anabranch.dependants(old_one.copy);
  old_view record;
  new_view record;
  right_of record;
BEGIN
  IF built_on IS NOT NULL THEN
    RAISE EXCEPTION 'columns of copy % go, and others depend on it: %', old_one.copy, built_on
      USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Drop these, swap, and make them again.';
  END IF;
  SELECT n.nspname, c.relname, c.relacl, c.relowner INTO old_view FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = old_one.copy;
  SELECT n.nspname, c.relname INTO new_view FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = new_one.copy;
  EXECUTE format('ALTER VIEW %I.%I RENAME TO %I', old_view.nspname, old_view.relname, 'anabranch_swapped_' || old_one.id);
  EXECUTE format('ALTER VIEW %I.%I SET SCHEMA %I', new_view.nspname, new_view.relname, old_view.nspname);
  EXECUTE format('ALTER VIEW %I.%I RENAME TO %I', old_view.nspname, new_view.relname, old_view.relname);
  EXECUTE format('ALTER VIEW %I.%I SET SCHEMA %I', old_view.nspname, 'anabranch_swapped_' || old_one.id, new_view.nspname);
  EXECUTE format('ALTER VIEW %I.%I RENAME TO %I', new_view.nspname, 'anabranch_swapped_' || old_one.id, new_view.relname);
  FOR right_of IN
    SELECT x.privilege_type, x.is_grantable, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee
    FROM aclexplode(old_view.relacl) AS x WHERE x.grantee <> old_view.relowner
  LOOP
    EXECUTE format('GRANT %s ON %s TO %s%s', right_of.privilege_type, new_one.copy, right_of.grantee,
                   CASE WHEN right_of.is_grantable THEN ' WITH GRANT OPTION' END);
    EXECUTE format('REVOKE %s ON %s FROM %s', right_of.privilege_type, old_one.copy, right_of.grantee);
  END LOOP;
  EXECUTE format('COMMENT ON VIEW %s IS %L', new_one.copy, obj_description(old_one.copy, 'pg_class'));
  UPDATE anabranch.definition AS d
  SET twin_of = CASE WHEN d.copy = old_one.copy THEN new_one.copy END, purpose = CASE WHEN d.copy = old_one.copy THEN 'former' END, swap = false,
      verify_every = CASE WHEN d.copy = new_one.copy THEN old_one.verify_every END, verify_duty = old_one.verify_duty
  WHERE d.copy IN (old_one.copy, new_one.copy);
  UPDATE anabranch.verification AS v
  SET copy = CASE WHEN v.copy = old_one.copy THEN new_one.copy ELSE old_one.copy END,
      definition = CASE WHEN v.definition = old_one.id THEN new_one.id ELSE old_one.id END,
      twin = CASE WHEN v.twin = new_one.copy THEN old_one.copy ELSE v.twin END
  WHERE v.copy IN (old_one.copy, new_one.copy);
END
$$;
COMMENT ON FUNCTION anabranch.swap_names(anabranch.definition, anabranch.definition) IS
  'swap of two copies whose views have other columns';

-- What is asked. The functions in C check the caller.

CREATE FUNCTION anabranch.carry_out_replace(copy oid, twin oid, purpose text, swap boolean, requested_by text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  number   bigint;
  built_on text;
BEGIN
  PERFORM anabranch.require_nothing_retained($1);
  IF NOT EXISTS (SELECT FROM anabranch.progress AS p WHERE p.copy = $1) THEN
    RAISE EXCEPTION 'copy % is unbound, and nothing can take its place', $1::regclass
      USING ERRCODE = 'AN002', HINT = format('SELECT anabranch.resume(%L) first: that fills it.', $1::regclass);
  END IF;
  PERFORM anabranch.check_index($2, x.engine, x.key, x.options) FROM anabranch.external_index AS x WHERE x.copy = $1;
  IF anabranch.compare_columns($1, $2) = 'other' THEN
    built_on := anabranch.dependants($1);
    IF built_on IS NOT NULL THEN
      RAISE EXCEPTION 'columns of copy % go or change, and others depend on it: %', $1::regclass, built_on
        USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Keep the columns as they are, and add others behind them; or drop these first.';
    END IF;
  END IF;
  INSERT INTO anabranch.verification AS v (copy, definition, mode, repairs, duty, requested_by, method, purpose, twin, swap)
  SELECT d.copy, d.id, 'full', false, 1, $5, 'twin', $3, $2, $4 FROM anabranch.definition AS d WHERE d.copy = $1
  RETURNING v.run INTO number;
  PERFORM anabranch.notice_absence();
  RETURN number;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_replace(oid, oid, text, boolean, text) IS 'work of rebuild and alter_aggregate_table, once the twin is made';

CREATE FUNCTION anabranch.the_twin(copy oid) RETURNS anabranch.definition
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT d FROM anabranch.definition AS d WHERE d.twin_of = $1 AND d.purpose <> 'proof'
$$;
COMMENT ON FUNCTION anabranch.the_twin(oid) IS 'what stands beside a copy to take its place, or has given it up';

CREATE FUNCTION anabranch.carry_out_swap_request(copy oid, purpose text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  twin anabranch.definition := anabranch.the_twin($1);
BEGIN
  IF twin.copy IS NULL OR (twin.purpose = 'former') <> ($2 = 'former') THEN
    RAISE EXCEPTION 'nothing stands beside copy % that it could %', $1::regclass, CASE $2 WHEN 'former' THEN 'be swapped back for' ELSE 'be swapped for' END
      USING ERRCODE = 'AN002', HINT = 'anabranch.alter_aggregate_table(..., swap => false) makes a new one beside it; after a swap the former one stays '
                                      'until anabranch.drop_former.';
  END IF;
  IF EXISTS (SELECT FROM anabranch.verification AS v WHERE v.twin = twin.copy AND v.state IN ('queued', 'running')) AND twin.purpose <> 'former' THEN
    -- As soon as it has been compared.
    UPDATE anabranch.verification AS v SET swap = true WHERE v.twin = twin.copy AND v.state IN ('queued', 'running');
  ELSE
    UPDATE anabranch.definition AS d SET swap = true WHERE d.copy = twin.copy;
  END IF;
  PERFORM anabranch.notice_absence();
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_swap_request(oid, text) IS 'work of swap and swap_back, once their caller is checked';

CREATE FUNCTION anabranch.carry_out_drop_former(copy oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  twin anabranch.definition := anabranch.the_twin($1);
BEGIN
  IF twin.copy IS NULL THEN
    RETURN false;
  END IF;
  UPDATE anabranch.verification AS v SET cancelled = true WHERE v.twin = twin.copy AND v.state IN ('queued', 'running');
  PERFORM anabranch.forget(ARRAY[twin.copy::oid]);
  RETURN true;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_drop_former(oid) IS 'work of drop_former, once its caller is checked';

CREATE FUNCTION anabranch.rebuild(copy regclass) RETURNS bigint
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_rebuild';
COMMENT ON FUNCTION anabranch.rebuild(regclass) IS
  'fills a copy anew beside the one that is read, compares the two and has the new one take its place; the number of the run, as in anabranch.verifications';

CREATE FUNCTION anabranch.alter_aggregate_table(copy regclass, query text, swap boolean DEFAULT true) RETURNS bigint
LANGUAGE c
AS 'MODULE_PATHNAME', 'anabranch_alter_aggregate_table';
COMMENT ON FUNCTION anabranch.alter_aggregate_table(regclass, text, boolean) IS
  'gives a copy another query: made beside the old one, compared row by row (anabranch.differences), then swapped; swap => false: at anabranch.swap';

CREATE FUNCTION anabranch.swap(copy regclass) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_swap';
COMMENT ON FUNCTION anabranch.swap(regclass) IS 'has what alter_aggregate_table has made beside a copy take its place';

CREATE FUNCTION anabranch.swap_back(copy regclass) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_swap_back';
COMMENT ON FUNCTION anabranch.swap_back(regclass) IS 'puts a copy back to its former definition, which has been kept up to date';

CREATE FUNCTION anabranch.drop_former(copy regclass) RETURNS boolean
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_drop_former';
COMMENT ON FUNCTION anabranch.drop_former(regclass) IS 'drops what stands beside a copy: its former definition, or one that was never swapped in; false: nothing does';
