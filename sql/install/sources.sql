-- What is asked of a source: its shadow, its columns, its partitions, and whether its old rows suffice; and what of the functions
-- that a definition calls.

CREATE FUNCTION anabranch.shadow_for(relation oid) RETURNS regclass
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_shadow_for';
COMMENT ON FUNCTION anabranch.shadow_for(oid) IS 'finds or makes the empty relation with the columns of a source';

CREATE FUNCTION anabranch.renew_shadow(relation oid, shadow oid) RETURNS boolean
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_renew_shadow';
COMMENT ON FUNCTION anabranch.renew_shadow(oid, oid) IS 'makes a shadow anew if it no longer has the columns of its source';

CREATE FUNCTION anabranch.column_definitions(relation oid, columns int2[]) RETURNS text[]
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
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

CREATE FUNCTION anabranch.retyped_columns(command pg_catalog.pg_ddl_command,
                                          OUT relation oid, OUT number int2, OUT by_expression boolean)
RETURNS SETOF record
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_retyped_columns';
COMMENT ON FUNCTION anabranch.retyped_columns(pg_catalog.pg_ddl_command) IS
  'the columns that a command has given a type, and whether by an expression (USING)';

CREATE FUNCTION anabranch.reshaped_types(command pg_catalog.pg_ddl_command) RETURNS SETOF oid
LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_reshaped_types';
COMMENT ON FUNCTION anabranch.reshaped_types(pg_catalog.pg_ddl_command) IS
  'the types that a command has given other labels or attributes';

CREATE FUNCTION anabranch.leaves(relation oid) RETURNS SETOF oid
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE below (oid) AS (
    SELECT inhrelid FROM pg_inherits WHERE inhparent = $1 AND NOT inhdetachpending
    UNION
    SELECT i.inhrelid FROM below AS b JOIN pg_inherits AS i ON i.inhparent = b.oid AND NOT i.inhdetachpending)
  SELECT b.oid FROM below AS b JOIN pg_class AS c ON c.oid = b.oid WHERE c.relkind <> 'p'
$$;
COMMENT ON FUNCTION anabranch.leaves(oid) IS 'partitions and inheriting tables below a table that hold rows themselves';

CREATE FUNCTION anabranch.note_leaves(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM anabranch.source_leaf AS l
  WHERE l.relation = $1 AND l.leaf NOT IN (SELECT anabranch.leaves($1));
  INSERT INTO anabranch.source_leaf SELECT $1, leaf FROM anabranch.leaves($1) AS leaf ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION anabranch.note_leaves(oid) IS 'remembers the partitions of a source, so that the event trigger can tell which have come or gone';

CREATE FUNCTION anabranch.holds_rows(relation oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  result boolean;
BEGIN
  IF (SELECT relkind FROM pg_class WHERE oid = $1) IS DISTINCT FROM 'r' THEN
    RETURN true;  -- foreign or gone: nobody can tell
  END IF;
  IF pg_relation_size($1) = 0 THEN
    RETURN false;
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RETURN true;  -- an old snapshot does not see what was written since
  END IF;
  EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %s)', $1::regclass) INTO result;
  RETURN result;
END
$$;
COMMENT ON FUNCTION anabranch.holds_rows(oid) IS 'whether a table has rows; true if nobody can tell';

CREATE FUNCTION anabranch.identity_gap(relation oid, source oid, columns int2[], key int2[], old_rows text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  -- A table that publishes updates and has no replica identity at all refuses UPDATE and DELETE: nothing can be missed.
  SELECT CASE
    WHEN c.relreplident = 'f' OR i.names IS NULL THEN NULL
    WHEN $5 = 'full' THEN format('the replica identity of table %1$s is not FULL; run ALTER TABLE %1$s REPLICA IDENTITY FULL', $1::regclass)
    WHEN NOT (SELECT array_agg(a.attname) FROM pg_attribute AS a
              WHERE a.attrelid = $2 AND a.attnum = ANY (CASE WHEN $4 = '{}' THEN $3 ELSE $4 END)) <@ i.names
      THEN format('the replica identity of table %s does not have the columns that the copy needs', $1::regclass)
  END
  FROM pg_class AS c
  CROSS JOIN LATERAL (SELECT array_agg(a.attname) FROM pg_index AS x
                      JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey::int2[])
                      WHERE x.indrelid = c.oid
                        AND CASE c.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident END) AS i (names)
  WHERE c.oid = $1
$$;
COMMENT ON FUNCTION anabranch.identity_gap(oid, oid, int2[], int2[], text) IS
  'why the old rows that a table (or a partition of a source) writes to the WAL do not suffice for a copy; NULL when they do';

CREATE FUNCTION anabranch.source_gap(relation oid, columns int2[], key int2[], old_rows text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN $3 <> '{}' AND NOT EXISTS (
      SELECT FROM pg_index AS x
      WHERE x.indrelid = $1 AND x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
        AND (x.indkey::int2[])[0:x.indnkeyatts - 1] <@ $3)
      THEN format('table %s has lost the key that the copy tells its rows by', $1::regclass)
    ELSE (SELECT anabranch.identity_gap($1, $1, $2, $3, $4) FROM pg_class WHERE oid = $1 AND relkind <> 'p')
  END
$$;
COMMENT ON FUNCTION anabranch.source_gap(oid, int2[], int2[], text) IS
  'why the rows of a source can no longer be told apart in the stream; NULL when they can. Of a partitioned table ask identity_gap for each leaf as well';

CREATE FUNCTION anabranch.misfits(copy oid, relation oid, columns int2[], column_definitions text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
  SELECT CASE
    WHEN c.oid IS NULL THEN 'a source table was dropped'
    WHEN c.relpersistence <> 'p' THEN format('table %s is no longer logged', $2::regclass)
    WHEN c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
         AND (c.relforcerowsecurity OR NOT pg_has_role(v.relowner, c.relowner, 'USAGE'))
      THEN format('row-level security of table %s now applies to role %I', $2::regclass, r.rolname)
    ELSE (
      SELECT CASE
          WHEN a.attnum IS NULL OR a.attisdropped THEN format('column %s of table %s was dropped', was.name, $2::regclass)
          WHEN quote_ident(a.attname) <> was.name
            THEN format('column %s of table %s was renamed to %I', was.name, $2::regclass, a.attname)
          ELSE format('column %s of table %s has changed its type: it was "%s", it is "%s"',
                      was.name, $2::regclass, was.definition, now.definition)
        END
      FROM unnest($3, $4, anabranch.column_definitions($2, $3)) WITH ORDINALITY AS now (number, was, definition, ordinal)
      CROSS JOIN LATERAL (SELECT now.was, substring(now.was from '^("(?:[^"]|"")*"|[^ ]+) ')) AS was (definition, name)
      LEFT JOIN pg_attribute AS a ON a.attrelid = $2 AND a.attnum = now.number
      WHERE now.definition IS DISTINCT FROM now.was AND now.was IS NOT NULL
      ORDER BY now.ordinal LIMIT 1)
  END
  FROM (SELECT) AS one
  LEFT JOIN pg_class AS c ON c.oid = $2
  LEFT JOIN pg_class AS v ON v.oid = $1
  LEFT JOIN pg_roles AS r ON r.oid = v.relowner
$$;
COMMENT ON FUNCTION anabranch.misfits(oid, oid, int2[], text[]) IS
  'how a source no longer is what a copy was defined for; NULL when it is';

-- No object of ours depends on a user's function: it can be replaced, and what was counted with the one before stays. Of the functions
-- that another calls in its turn, those are known that the catalog knows (BEGIN ATOMIC).
CREATE FUNCTION anabranch.function_digests(functions oid[]) RETURNS jsonb
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
  WITH RECURSIVE called (oid) AS (
    SELECT unnest($1)
    UNION
    SELECT d.refobjid FROM called AS c JOIN pg_depend AS d
      ON d.classid = 'pg_proc'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_proc'::regclass)
  SELECT coalesce(jsonb_object_agg(p.oid::regprocedure::text, md5(jsonb_build_array(
           p.prolang, p.prosrc, p.probin, pg_get_function_sqlbody(p.oid), p.proconfig, p.prosecdef, p.proisstrict, p.prorettype)::text)), '{}')
  FROM called AS c JOIN pg_proc AS p ON p.oid = c.oid
$$;
COMMENT ON FUNCTION anabranch.function_digests(oid[]) IS 'functions, and those they call, by name, each with a digest of all that its results depend on';

CREATE FUNCTION anabranch.functions_now(functions jsonb) RETURNS jsonb
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  SELECT anabranch.function_digests(ARRAY(SELECT to_regprocedure(f)::oid FROM jsonb_object_keys($1) AS f WHERE to_regprocedure(f) IS NOT NULL))
$$;
COMMENT ON FUNCTION anabranch.functions_now(jsonb) IS 'functions of the same names, with their digests of now';

CREATE FUNCTION anabranch.function_change(functions jsonb) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
  SELECT format(CASE WHEN now.functions ? was.key THEN 'function %s, which its query calls, was replaced'
                     ELSE 'function %s, which its query calls, is gone' END, was.key)
  FROM (SELECT anabranch.functions_now($1)) AS now (functions), jsonb_each($1) AS was
  WHERE was.value IS DISTINCT FROM now.functions -> was.key
  ORDER BY was.key LIMIT 1
$$;
COMMENT ON FUNCTION anabranch.function_change(jsonb) IS 'which of these functions is not what it was; NULL: each is';

CREATE FUNCTION anabranch.note_functions(copy oid) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  UPDATE anabranch.definition AS d SET functions = d.functions || anabranch.functions_now(d.functions)
  WHERE d.copy = $1 AND d.functions <> '{}' AND anabranch.function_change(d.functions) IS NOT NULL
$$;
COMMENT ON FUNCTION anabranch.note_functions(oid) IS 'remembers what the functions are that a copy is being filled with';
