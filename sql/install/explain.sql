-- What a copy is made of, and what it asks of its sources, in words: as EXPLAIN does of a query.

CREATE FUNCTION anabranch.explain_source(relation oid, columns int2[], key int2[], old_rows text, is_rows boolean) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
  SELECT line.text
  FROM (SELECT coalesce($1::regclass::text, 'a table that is gone'),
               (SELECT CASE WHEN bool_and(l.reltuples >= 0) THEN 'about ' || sum(l.reltuples)::bigint || ' rows' ELSE 'not analysed yet' END
                FROM pg_class AS l WHERE l.relkind = 'r' AND l.oid IN (SELECT $1 UNION SELECT anabranch.leaves($1))),
               array_to_string(anabranch.column_definitions($1, $2), ', '),
               (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n)
                FROM unnest($3) WITH ORDINALITY AS k (number, n) JOIN pg_attribute AS a ON a.attrelid = $1 AND a.attnum = k.number),
               coalesce(anabranch.source_gap($1, $2, $3, $4),
                        (SELECT min(anabranch.identity_gap(l, $1, $2, $3, $4)) FROM anabranch.leaves($1) AS l)),
               (SELECT n.nspname = 'anabranch_stream' FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = $1))
    AS source (name, rows, columns, key, gap, is_stream)
  CROSS JOIN LATERAL (VALUES
    (1, format('source %s: ', source.name) || CASE WHEN source.is_stream THEN 'messages' ELSE coalesce(source.rows, 'nothing is known of it') END),
    (2, '  reads ' || coalesce(nullif(source.columns, ''), 'that rows are there, and none of their columns')),
    (3, CASE WHEN source.is_stream THEN '  is not filled: nothing keeps its messages'
             WHEN source.key IS NULL THEN '  is filled in one reading, under one snapshot'
             ELSE format('  is filled by ranges of (%s)', source.key) END),
    (4, CASE WHEN source.is_stream THEN NULL
             WHEN $4 = 'full' THEN '  needs of old rows all that it reads: each UPDATE and DELETE writes the whole of them to the WAL (REPLICA IDENTITY FULL)'
             WHEN $5 THEN '  needs of old rows their key alone'
             ELSE '  needs of old rows what their replica identity has' END),
    (5, '  but ' || source.gap)) AS line (n, text)
  WHERE line.text IS NOT NULL
  ORDER BY line.n
$$;
COMMENT ON FUNCTION anabranch.explain_source(oid, int2[], int2[], text, boolean) IS 'the lines of explain on one of the tables that a copy reads';

CREATE FUNCTION anabranch.explain(copy regclass, statements boolean DEFAULT false) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
DECLARE
  definition anabranch.definition;
  index      anabranch.external_index;
  shown      text;
  kept_in    text;
BEGIN
  SELECT * INTO definition FROM anabranch.definition AS d WHERE d.copy = $1;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is not a copy made by anabranch', $1
      USING ERRCODE = 'wrong_object_type', HINT = 'SELECT copy FROM anabranch.copies lists them.';
  END IF;
  SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
  INTO shown FROM pg_attribute AS a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped;
  SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
  INTO kept_in FROM pg_attribute AS a WHERE a.attrelid = definition.state AND a.attnum > 0 AND NOT a.attisdropped;
  RETURN NEXT format('copy %s: %s', $1, CASE definition.class
    WHEN 'linear' THEN 'groups, each a row of counters and sums; a change costs one row of each group that it touches'
    ELSE 'rows of its sources; a change costs one row' END);
  RETURN NEXT '  shows ' || shown;
  RETURN NEXT format('  is kept in %s (%s), in columns %s', definition.state, pg_size_pretty(pg_total_relation_size(definition.state)), kept_in);
  RETURN QUERY
    SELECT e.line FROM anabranch.definition_source AS s
    CROSS JOIN LATERAL anabranch.explain_source(s.relation, s.columns, s.key, s.old_rows, definition.class = 'rows') WITH ORDINALITY AS e (line, n)
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
