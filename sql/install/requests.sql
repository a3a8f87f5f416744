-- What the owners of copies ask for. The functions in C check the caller and call the ones named carry_out_.

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
        SET columns = found, key = ARRAY(SELECT found[array_position(s.columns, k)] FROM unnest(s.key) AS k),
            named = ARRAY(SELECT found[array_position(s.columns, n)] FROM unnest(s.named) AS n)
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

-- Filled anew, a copy has what its sources have now.
CREATE FUNCTION anabranch.require_nothing_retained(copy oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept record;
BEGIN
  SELECT min(r.removed_at) AS since, count(*) AS partitions INTO kept FROM anabranch.retained AS r WHERE r.copy = $1;
  IF kept.partitions > 0 THEN
    RAISE EXCEPTION 'copy % holds rows of % partitions that were removed since %, and filled anew it would not', $1::regclass,
      kept.partitions, kept.since::timestamptz(0)
      USING ERRCODE = 'AN004',
            HINT = format('To give these rows up: SELECT anabranch.on_partition_removed(%L, ''stale''), and then fill it anew.', $1::regclass);
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.require_nothing_retained(oid) IS 'raises AN004 where a copy has rows that its sources no longer have';

CREATE FUNCTION anabranch.carry_out_on_partition_removed(copy oid, policy text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- A former definition beside the copy has kept its own.
  keeping regclass[] := ARRAY(SELECT DISTINCT r.copy FROM anabranch.retained AS r JOIN anabranch.definition AS d ON d.copy = r.copy
                              WHERE d.copy = $1 OR d.twin_of = $1);
BEGIN
  IF $2 = 'subtract' THEN
    RAISE EXCEPTION 'policy "subtract" is not supported'
      USING ERRCODE = 'feature_not_supported',
            DETAIL = 'The rows of a partition would have to be taken off at the command''s place in the log, where a dropped partition can '
                     'no longer be read.',
            HINT = 'DELETE the partition''s rows before it is detached or dropped: that reaches the copy in order.';
  ELSIF $2 NOT IN ('stale', 'keep') THEN
    RAISE EXCEPTION 'policy "%" is unknown', $2 USING ERRCODE = 'invalid_parameter_value', HINT = 'The policies are stale and keep.';
  END IF;
  UPDATE anabranch.definition AS d SET on_partition_removed = $2 WHERE d.copy = $1 OR d.twin_of = $1;
  IF $2 = 'stale' AND keeping <> '{}' THEN
    DELETE FROM anabranch.retained AS r WHERE r.copy = ANY (keeping);
    PERFORM anabranch.set_stale(keeping, 'it holds rows of partitions that were removed, and is no longer to keep them');
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_on_partition_removed(oid, text) IS 'work of on_partition_removed, once its caller is checked';

CREATE FUNCTION anabranch.on_partition_removed(copy regclass, policy text) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_on_partition_removed';
COMMENT ON FUNCTION anabranch.on_partition_removed(regclass, text) IS
  'what becomes of a copy when a partition with rows is detached or dropped: stale, or keep (it stays as it is)';

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
  PERFORM anabranch.require_nothing_retained($1);
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION 'copy % cannot be filled: %', $1::regclass, problem
      USING ERRCODE = 'AN004',
            HINT = format('Undo that change, or give the copy a query that fits with anabranch.alter_aggregate_table(%L, ...).', $1::regclass);
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
    PERFORM anabranch.bind_index($1);
  END IF;
  UPDATE anabranch.definition AS d SET requested = 'run' WHERE d.copy = $1;
  PERFORM anabranch.notice_absence();
END
$$;
COMMENT ON FUNCTION anabranch.carry_out_resume(oid) IS 'work of resume, once its caller is checked';

CREATE FUNCTION anabranch.drop_aggregate_table(copy regclass) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_drop_aggregate_table';
COMMENT ON FUNCTION anabranch.drop_aggregate_table(regclass) IS
  'drops a copy: its view, its table, its definition; fails when another view depends on it';

CREATE FUNCTION anabranch.add_index(copy regclass, columns text[], method text DEFAULT 'btree') RETURNS regclass
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_add_index';
COMMENT ON FUNCTION anabranch.add_index(regclass, text[], text) IS
  'makes an index on columns of a copy; nothing can be applied to the copy while it is built';

CREATE FUNCTION anabranch.pause(copy regclass) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_pause';
COMMENT ON FUNCTION anabranch.pause(regclass) IS 'keeps a copy as it is until resume';

CREATE FUNCTION anabranch.resume(copy regclass) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_resume';
COMMENT ON FUNCTION anabranch.resume(regclass) IS
  'lets a paused copy go on; fills one anew that is failed, stale or restored from a dump';
