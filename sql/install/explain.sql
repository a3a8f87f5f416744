-- What a copy is made of, and what it asks of its sources, in words: as EXPLAIN does of a query.

-- Names are those of the definition: a source may be gone, or have other columns now, or other numbers for them where the copy was
-- restored from a dump and is not bound to its sources yet.
CREATE FUNCTION anabranch.explain_source(source anabranch.definition_source, is_rows boolean) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
  SELECT line.text
  FROM (SELECT (SELECT $1.relation::text FROM pg_class AS c WHERE c.oid = $1.relation),
               (SELECT CASE WHEN bool_and(l.reltuples >= 0) THEN format('about %s rows', sum(l.reltuples)::bigint) ELSE 'not analysed yet' END
                FROM pg_class AS l WHERE l.relkind = 'r' AND l.oid IN (SELECT $1.relation UNION SELECT anabranch.leaves($1.relation))),
               array_to_string($1.column_definitions, ', '),
               (SELECT string_agg(substring($1.column_definitions[array_position($1.columns, k.number)] from '^("(?:[^"]|"")*"|[^ ]+) '), ', ' ORDER BY k.n)
                FROM unnest($1.key) WITH ORDINALITY AS k (number, n)),
               EXISTS (SELECT FROM pg_class AS c WHERE c.oid = $1.relation AND c.relnamespace = 'anabranch_stream'::regnamespace))
    AS of (name, rows, columns, key, is_stream)
  CROSS JOIN LATERAL (VALUES
    (1, 'source ' || CASE WHEN of.name IS NULL THEN 'that is gone' WHEN of.is_stream THEN of.name || ': messages' ELSE concat_ws(': ', of.name, of.rows) END),
    (2, '  reads ' || coalesce(nullif(of.columns, ''), 'that rows are there, and none of their columns')),
    (3, CASE WHEN of.name IS NULL THEN NULL
             WHEN of.is_stream THEN '  is not filled: nothing keeps its messages'
             WHEN of.key IS NULL THEN '  is filled in one reading, under one snapshot'
             ELSE format('  is filled by ranges of (%s)', of.key) END),
    (4, CASE WHEN of.name IS NULL OR of.is_stream THEN NULL
             WHEN $1.old_rows = 'full' THEN '  needs of old rows all that it reads, which REPLICA IDENTITY FULL writes to the WAL with each UPDATE and DELETE'
             WHEN $2 THEN '  needs of old rows their key alone'
             ELSE '  needs of old rows what their replica identity has' END),
    (5, '  but ' || (
      SELECT coalesce(anabranch.misfits($1.copy, $1.relation, $1.columns, $1.column_definitions),
                      anabranch.source_gap($1.relation, $1.columns, $1.key, $1.old_rows),
                      (SELECT min(anabranch.identity_gap(l, $1.relation, $1.columns, $1.key, $1.old_rows)) FROM anabranch.leaves($1.relation) AS l))
      FROM anabranch.progress AS p WHERE p.copy = $1.copy))) AS line (n, text)
  WHERE line.text IS NOT NULL
  ORDER BY line.n
$$;
COMMENT ON FUNCTION anabranch.explain_source(anabranch.definition_source, boolean) IS 'the lines of explain on one of the tables that a copy reads';

CREATE FUNCTION anabranch.explain(copy regclass, statements boolean DEFAULT false) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
DECLARE
  definition anabranch.definition;
  index      anabranch.external_index;
BEGIN
  SELECT * INTO definition FROM anabranch.definition AS d WHERE d.copy = $1;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is not a copy made by anabranch', $1
      USING ERRCODE = 'wrong_object_type', HINT = 'SELECT copy FROM anabranch.copies lists them.';
  END IF;
  RETURN NEXT format('copy %s: %s', $1, CASE definition.class
    WHEN 'linear' THEN 'groups, each a row of counters and sums; a change costs one row of each group that it touches'
    ELSE 'rows of its sources; a change costs one row' END);
  IF NOT EXISTS (SELECT FROM anabranch.progress AS p WHERE p.copy = $1) THEN
    RETURN NEXT '  was restored from a dump and not filled since: anabranch.resume fills it';
  END IF;
  RETURN NEXT '  shows ' || array_to_string(anabranch.column_definitions($1, ARRAY(
    SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)), ', ');
  RETURN NEXT format('  is kept in %s (%s), in columns %s', definition.state, pg_size_pretty(pg_total_relation_size(definition.state)), (
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a WHERE a.attrelid = definition.state AND a.attnum > 0 AND NOT a.attisdropped));
  RETURN QUERY
    SELECT e.line FROM anabranch.definition_source AS s
    CROSS JOIN LATERAL anabranch.explain_source(s, definition.class = 'rows') WITH ORDINALITY AS e (line, n)
    WHERE s.copy = $1 ORDER BY s.ordinal, e.n;

  SELECT * INTO index FROM anabranch.external_index AS x WHERE x.copy = $1;
  IF FOUND THEN
    RETURN NEXT format('index "%s" of engine "%s": a document for each row%s', index.name, index.engine,
                       coalesce(', found by ' || (SELECT string_agg(quote_ident(k), ', ') FROM unnest(index.key) AS k), ''));
    RETURN NEXT '  with options ' || index.options::text;
    IF anabranch.inexact_key($1) <> '{}' THEN
      RETURN NEXT '  tells values of these columns apart by their texts, equal ones too: '
                  || (SELECT string_agg(quote_ident(k), ', ') FROM unnest(anabranch.inexact_key($1)) AS k);
    END IF;
  END IF;
  IF $2 THEN
    RETURN NEXT 'folds changes by: ' || definition.fold;
    RETURN NEXT 'merges them by: ' || definition.merge;
    RETURN NEXT 'shows them by: ' || definition.shown_view;
  END IF;
END
$$;
COMMENT ON FUNCTION anabranch.explain(regclass, boolean) IS
  'what a copy is made of and asks of its sources, an index outside the database included; statements: also those that keep it';
