-- What a command that users give does to copies: they become stale, are forgotten, lose or keep what belongs to them. Which
-- command does what is judged in data_definition.sql.

CREATE FUNCTION anabranch.warn_stale(copies regclass[], reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE WARNING '% now stale: %', CASE cardinality($1) WHEN 1 THEN 'copy ' ELSE 'copies ' END || array_to_string($1, ', ')
                                  || CASE cardinality($1) WHEN 1 THEN ' is' ELSE ' are' END, $2
    USING HINT = 'Fill it anew with anabranch.rebuild; its contents stay readable meanwhile. Where a column was renamed or dropped, undo that '
                 'first, or give the copy a query that fits with anabranch.alter_aggregate_table.';
END
$$;
COMMENT ON FUNCTION anabranch.warn_stale(regclass[], text) IS 'tells whoever gave a command what it did to copies';

CREATE FUNCTION anabranch.set_stale(copies regclass[], reason text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE anabranch.progress AS p
  SET state = 'stale', sqlstate = 'AN004', reason = $2 || '; fill the copy anew with anabranch.rebuild', changed_at = now()
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

CREATE FUNCTION anabranch.home_publication() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT s.publication FROM anabranch.source AS s WHERE s.name = 'home'), 'anabranch')
$$;
COMMENT ON FUNCTION anabranch.home_publication() IS 'the publication that selects the sources; before a sidecar has named it, the one that would be made';

CREATE FUNCTION anabranch.unpublish(relations oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
  member record;
BEGIN
  FOR member IN
    SELECT p.pubname, r.prrelid::regclass AS relation
    FROM pg_publication AS p JOIN pg_publication_rel AS r ON r.prpubid = p.oid
    WHERE p.pubname = anabranch.home_publication()
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

-- Whoever drops a copy in a long transaction must not stop the others. The sidecar, which finds the state table locked, sets
-- the copy aside; for that its progress has to be free until the transaction ends.
CREATE FUNCTION anabranch.forget_progress() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM anabranch.progress AS p WHERE p.copy = old.copy;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION anabranch.forget_progress() IS 'at the end of a transaction: removes the progress of a dropped copy';
CREATE CONSTRAINT TRIGGER forget_progress AFTER DELETE ON anabranch.definition
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION anabranch.forget_progress();
ALTER TABLE anabranch.definition ENABLE ALWAYS TRIGGER forget_progress;
COMMENT ON TRIGGER forget_progress ON anabranch.definition IS 'removes what is known of a dropped copy when the transaction ends';

CREATE FUNCTION anabranch.forget(oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  copies    oid[] := ARRAY(SELECT d.copy FROM anabranch.definition AS d WHERE d.copy = ANY ($1) OR d.twin_of = ANY ($1));
  relations oid[] := ARRAY(SELECT DISTINCT s.relation FROM anabranch.definition_source AS s WHERE s.copy = ANY (copies));
  gone      record;
BEGIN
  -- A copy that is filled has its progress locked before all else (begin_copy_batch); that of a live one must not be, as batches read it.
  PERFORM FROM anabranch.progress AS p WHERE p.copy = ANY (copies) AND p.state <> 'live' ORDER BY p.copy FOR UPDATE;
  -- Foreign keys do not cascade in a session that replays another server's commands.
  PERFORM anabranch.forget_index(c) FROM unnest(copies) AS c;
  DELETE FROM anabranch.fill_chunk AS f WHERE f.copy = ANY (copies);
  DELETE FROM anabranch.retained AS r WHERE r.copy = ANY (copies);
  DELETE FROM anabranch.definition_source AS s WHERE s.copy = ANY (copies);
  -- The definition goes first: the drops below fire the event trigger, and it must find nothing left to do.
  FOR gone IN DELETE FROM anabranch.definition AS d WHERE d.copy = ANY (copies) RETURNING d.copy, d.state LOOP
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
