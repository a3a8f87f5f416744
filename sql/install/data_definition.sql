-- How copies follow what users do to tables: event triggers judge each command and name the copies that it makes stale.

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
  FROM (SELECT anabranch.home_publication()) AS named (publication)
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

CREATE FUNCTION anabranch.is_published(relation oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM pg_publication WHERE puballtables)
    OR EXISTS (SELECT FROM (SELECT $1 UNION SELECT p.relid FROM pg_partition_ancestors($1) AS p) AS named (oid)
               JOIN pg_class AS c ON c.oid = named.oid
               WHERE EXISTS (SELECT FROM pg_publication_rel AS r WHERE r.prrelid = c.oid)
                  OR EXISTS (SELECT FROM pg_publication_namespace AS n WHERE n.pnnspid = c.relnamespace))
$$;
COMMENT ON FUNCTION anabranch.is_published(oid) IS 'whether any publication has the table, by itself, by a table above it, or by its schema';

-- Nor here: the rows in the log before it were printed with the labels and attributes of then, and would be read with
-- those of now.
CREATE FUNCTION anabranch.judge_types(types oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  IF $1 = '{}' THEN
    RETURN;
  END IF;
  FOR found IN
    WITH RECURSIVE inside (copy, type) AS (
      SELECT s.copy, a.atttypid
      FROM anabranch.definition_source AS s JOIN anabranch.progress AS p ON p.copy = s.copy
      JOIN pg_attribute AS a ON a.attrelid = s.relation AND a.attnum = ANY (s.columns) AND NOT a.attisdropped
      WHERE p.state <> 'stale'
      UNION
      SELECT i.copy, part.type
      FROM inside AS i JOIN pg_type AS t ON t.oid = i.type
      CROSS JOIN LATERAL (
        SELECT t.typelem WHERE t.typelem <> 0
        UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
        UNION ALL SELECT r.rngsubtype FROM pg_range AS r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
        UNION ALL SELECT a.atttypid FROM pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
        AS part (type))
    SELECT format('type %s of a column it reads was altered', i.type::regtype) AS reason, array_agg(DISTINCT i.copy) AS copies
    FROM inside AS i WHERE i.type = ANY ($1) GROUP BY i.type
  LOOP
    PERFORM anabranch.set_stale(found.copies, found.reason);
    PERFORM anabranch.warn_stale(found.copies, found.reason);
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.judge_types(oid[]) IS 'makes the copies stale at once that read values of types with other labels or attributes than before';

-- Nor here: what is still in the log would be folded by the function of now. A copy that nothing was read into yet has nothing to lose.
CREATE FUNCTION anabranch.judge_functions() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found record;
BEGIN
  FOR found IN
    SELECT array_agg(d.copy ORDER BY d.id) AS copies, change.reason
    FROM anabranch.definition AS d JOIN anabranch.progress AS p ON p.copy = d.copy
    CROSS JOIN LATERAL anabranch.function_change(d.functions) AS change (reason)
    WHERE d.functions <> '{}' AND p.state NOT IN ('waiting', 'stale') AND change.reason IS NOT NULL
    GROUP BY change.reason
  LOOP
    PERFORM anabranch.set_stale(found.copies, found.reason);
    PERFORM anabranch.warn_stale(found.copies, found.reason);
  END LOOP;
END
$$;
COMMENT ON FUNCTION anabranch.judge_functions() IS 'makes the copies stale at once whose functions are not what they were filled with';

-- Whether a copy keeps what it has of a partition that is gone. While it is filled nobody could say which part of it that is.
CREATE FUNCTION anabranch.keeps_removed(copy oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT d.on_partition_removed = 'keep' AND p.state <> 'filling'
  FROM anabranch.definition AS d JOIN anabranch.progress AS p ON p.copy = d.copy WHERE d.copy = $1
$$;
COMMENT ON FUNCTION anabranch.keeps_removed(oid) IS 'whether a copy stays as it is when a partition is removed';

CREATE FUNCTION anabranch.note_removed(relation oid, leaf text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO anabranch.retained (copy, leaf)
  SELECT s.copy, $2 FROM anabranch.definition_source AS s JOIN anabranch.progress AS p ON p.copy = s.copy
  WHERE s.relation = $1 AND anabranch.keeps_removed(s.copy) AND p.state <> 'waiting'
    AND NOT EXISTS (SELECT FROM anabranch.retained AS r WHERE r.copy = s.copy AND r.leaf = $2)
$$;
COMMENT ON FUNCTION anabranch.note_removed(oid, text) IS 'remembers that a partition has gone whose rows copies keep';

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
  IF touches_all THEN
    PERFORM anabranch.judge_functions();
  END IF;
  IF judge_command.tag LIKE '%FUNCTION' OR judge_command.tag = 'ALTER ROUTINE' THEN
    RETURN;
  END IF;
  touched := ARRAY(SELECT DISTINCT c.objid FROM pg_event_trigger_ddl_commands() AS c
                   WHERE c.classid = 'pg_class'::regclass AND c.objid IS NOT NULL);

  PERFORM anabranch.keep_grants(touched);
  PERFORM anabranch.judge_types(ARRAY(SELECT DISTINCT r.type FROM pg_event_trigger_ddl_commands() AS c, anabranch.reshaped_types(c.command) AS r (type)));

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

  -- Rows of the old type and of the new may meet in a topic, whether or not a copy reads the table.
  -- ON CONFLICT does not exist for a table that the decoder reads; the command's own lock keeps others away.
  retyped := ARRAY(SELECT DISTINCT r.relation
                   FROM pg_event_trigger_ddl_commands() AS c, anabranch.retyped_columns(c.command) AS r
                   WHERE r.relation = ANY (sources) OR anabranch.is_published(r.relation));
  UPDATE anabranch.generation AS g SET generation = g.generation + 1 WHERE g.relation = ANY (retyped);
  INSERT INTO anabranch.generation AS g (relation, generation)
  SELECT new.relation, 1 FROM unnest(retyped) AS new (relation)
  WHERE NOT EXISTS (SELECT FROM anabranch.generation AS g WHERE g.relation = new.relation);

  IF sources = '{}' THEN
    RETURN;
  END IF;

  IF NOT touches_all THEN
    PERFORM anabranch.note_removed(l.relation, l.leaf::regclass::text)
    FROM anabranch.source_leaf AS l
    WHERE l.relation = ANY (sources) AND l.leaf NOT IN (SELECT anabranch.leaves(l.relation)) AND anabranch.holds_rows(l.leaf);
  END IF;

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
         FROM moved AS m WHERE m.relation = s.relation AND (m.attached OR NOT anabranch.keeps_removed(s.copy)) AND anabranch.holds_rows(m.leaf)
         LIMIT 1),
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

  -- PostgreSQL 18 knows virtual columns, and would say it only to whoever writes next.
  FOR found IN
    SELECT c.oid::regclass AS leaf, min(a.attname) AS column_name
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attgenerated = 'v' AND NOT a.attisdropped
    WHERE c.relreplident = 'f' AND c.relkind = 'r'
      AND c.oid IN (SELECT unnest(sources) UNION ALL SELECT anabranch.leaves(source) FROM unnest(sources) AS source)
    GROUP BY c.oid
  LOOP
    RAISE WARNING 'UPDATE and DELETE on table % fail from now on: column "%" is virtual', found.leaf, found.column_name
      USING DETAIL = 'The server refuses them where a table is published, writes whole old rows and has a virtual generated column.',
            HINT = 'Drop the column, and add it as STORED.';
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
      DELETE FROM anabranch.retained AS r WHERE r.copy = ANY (copies);
      DELETE FROM anabranch.definition_source AS s WHERE s.copy = ANY (copies);
      DELETE FROM anabranch.definition AS d WHERE d.copy = ANY (copies);
    END;
  END IF;

  IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() AS o WHERE o.classid = 'pg_proc'::regclass) THEN
    PERFORM anabranch.judge_functions();
  END IF;

  PERFORM anabranch.note_removed(l.relation, o.object_identity)
  FROM pg_event_trigger_dropped_objects() AS o JOIN anabranch.source_leaf AS l ON l.leaf = o.objid
  WHERE o.classid = 'pg_class'::regclass AND o.objsubid = 0;

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
         WHERE o.objsubid = 0 AND NOT anabranch.keeps_removed(s.copy) LIMIT 1),
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
               'CREATE FUNCTION', 'ALTER FUNCTION', 'ALTER ROUTINE',
               'ALTER TYPE', 'ALTER DOMAIN', 'ALTER COLLATION', 'ALTER SCHEMA', 'ALTER EXTENSION',
               'ALTER PUBLICATION', 'DROP PUBLICATION', 'DROP OWNED')
  EXECUTE FUNCTION anabranch.follow_command();
COMMENT ON EVENT TRIGGER anabranch_follow_command IS 'keeps anabranch''s copies and shadows in step with data definition';
CREATE EVENT TRIGGER anabranch_follow_drop ON sql_drop EXECUTE FUNCTION anabranch.follow_drop();
COMMENT ON EVENT TRIGGER anabranch_follow_drop IS 'tells anabranch of dropped copies and sources';
-- Also in sessions that replay another server's commands.
ALTER EVENT TRIGGER anabranch_follow_command ENABLE ALWAYS;
ALTER EVENT TRIGGER anabranch_follow_drop ENABLE ALWAYS;
