\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(28);

-- What goes wrong while changes are applied says where and why, and leaves the copy as it was.
CREATE TABLE t (id int PRIMARY KEY, g text, n int);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t SELECT i, 'g' || i % 3, i FROM generate_series(1, 9) AS i;
SELECT anabranch.create_aggregate_table('sums', 'SELECT g, sum(100 / n) FROM t GROUP BY g') \g /dev/null
SELECT anabranch.create_aggregate_table('total', 'SELECT count(*), sum(n) FROM t') \g /dev/null
SELECT anabranch.create_aggregate_table('kept', 'SELECT id, n FROM t') \g /dev/null
SELECT fill(copy) FROM anabranch.definition \g /dev/null
CREATE FUNCTION one_row(weight int, id int, g text, n int) RETURNS bytea LANGUAGE sql AS $$
  SELECT delta_row(1, weight, row_bytes('t', (SELECT columns FROM anabranch.definition_source WHERE copy = 'sums'::regclass),
                                        jsonb_build_object('id', id, 'g', g, 'n', n)))
$$;
CREATE FUNCTION context_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  hint    text;
  context text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  IF message LIKE 'index row%' THEN
    RETURN hint;
  END IF;
  RETURN message || ', ' || coalesce(substring(context FROM '(?n)^applying changes to copy .*$'), 'no context');
END
$$;

SELECT is(context_of($$ SELECT anabranch.apply('sums'::regclass, one_row(1, 10, 'g1', 0)) $$), 'division by zero, applying changes to copy "sums"', 'an expression that fails names the copy');
SELECT is(differences('sums'), '', 'and changes nothing');
SELECT throws_ok($$ SELECT anabranch.apply('sums'::regclass, one_row(-1, 10, 'unknown', 5)) $$, 'AN005', NULL, 'what was never there cannot go');
SELECT throws_ok($$ SELECT anabranch.apply('sums'::regclass, one_row(-4, 10, 'g1', 5)) $$, 'AN005', NULL, 'nor more than there was');
SELECT throws_ok($$ SELECT anabranch.apply('total'::regclass, delta_row(1, -10, value_field(1, '1', 'int') || value_field(3, '1', 'int'))) $$, 'AN005', NULL, 'nor without groups');
SELECT is(differences(copy), '', copy || ' is as it was') FROM anabranch.definition ORDER BY copy::text;
SELECT is(context_of(format($$ SELECT anabranch.apply('sums'::regclass, one_row(1, 11, %L, 5)) $$, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) AS i))),
          'A group key that is too long for its index needs another definition: group by left(value, 500) or md5(value).', 'a group key too large for its index');

SELECT throws_ok($$ SELECT anabranch.apply('sums'::regclass, '\xff') $$, 'XX001', NULL, 'damaged bytes');
SELECT throws_ok($$ SELECT anabranch.apply('sums'::regclass, delta_row(1, 0, '')) $$, 'XX001', NULL, 'a row without weight');
SELECT throws_ok($$ SELECT anabranch.apply('sums'::regclass, delta_row(2, 1, '')) $$, '22023', NULL, 'a row of a source that there is none');
SELECT throws_ok($$ SELECT anabranch.apply('kept'::regclass, delta_row(1, 1, value_field(3, '1', 'int'))) $$, 'XX001', NULL, 'a row without its key');
SELECT is((SELECT (columns, named)::text FROM anabranch.definition_source WHERE copy = 'total'::regclass), '("{1,3}",{3})', 'groups have a use for the key, which their query does not name');
SELECT is((anabranch.apply('total'::regclass, delta_row(1, 1, value_field(3, '7', 'int')) || delta_row(1, -1, value_field(3, '7', 'int')))), 2::bigint, 'and need none in changes');
SELECT throws_ok($$ SELECT anabranch.apply('t'::regclass, '') $$, 'AN004', NULL, 'a relation that is no copy');

SELECT anabranch.apply(copy, varint_field(1, 1)) FROM anabranch.definition \g /dev/null
SELECT is_empty('TABLE sums', 'a truncated source empties a copy of groups');
SELECT is_empty('TABLE kept', 'and one of rows');
SELECT results_eq('TABLE total', 'SELECT 0::bigint, NULL::bigint', 'and leaves the one row where there are no groups');
SELECT anabranch.apply('sums'::regclass, varint_field(1, 1) || one_row(2, 1, 'g', 50)) \g /dev/null
SELECT results_eq('TABLE sums', $$ SELECT 'g', 4::bigint $$, 'rows that come with it are counted after it, as often as they weigh');

-- A function may raise whatever SQLSTATE it likes: it is taken for none that would stop more than its copy.
CREATE FUNCTION raises(code text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  IF code ~ '^[0-9A-Z]{5}$' THEN
    RAISE EXCEPTION 'raised' USING ERRCODE = code, DETAIL = 'Its own.';
  END IF;
  RETURN 0;
END
$$;
SELECT anabranch.create_aggregate_table('raising', 'SELECT id, raises(g) AS n FROM t') \g /dev/null
SELECT fill('raising') \g /dev/null
CREATE FUNCTION raised_as(code text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  PERFORM anabranch.apply('raising'::regclass, delta_row(1, 1, row_bytes('t',
    (SELECT columns FROM anabranch.definition_source WHERE copy = 'raising'::regclass), jsonb_build_object('id', 99, 'g', code))));
  RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN SQLSTATE || ' ' || SQLERRM || ': ' || detail;
END
$$;
SELECT is(raised_as(code), shown || ' raised: An expression of the copy raised it with SQLSTATE ' || code || '. Its own.', code || ' is raised as ' || shown)
FROM (VALUES ('AN001', '38000'), ('AN004', '38000'), ('57P01', '38000'), ('08006', '38000'), ('53100', 'AN008'), ('58P01', 'AN008')) AS codes (code, shown);
SELECT is(raised_as('22012'), '22012 raised: Its own.', 'others stay as they are');
SELECT is(raised_as('40001'), '40001 raised: Its own.', 'also those that pass by themselves');
SELECT * FROM finish();
ROLLBACK;
