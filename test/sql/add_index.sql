\set ECHO none
\i test/fixture/start.sql
SELECT plan(13);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE FUNCTION mine(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE TABLE anabranch_data.sums (g int, "a ""b" text, n bigint, s numeric, r span);
CREATE VIEW sums AS
  SELECT * FROM (
    SELECT g1 AS id, g2 AS "x"";y", a1 AS count, a2 AS total, a3 AS span, a4 AS of_all, a5 AS foreign_code, a6 AS checked, a2 / 2 AS half,
           range_merge(a3, a3) AS merged
    FROM (SELECT g AS g1, "a ""b" AS g2, n AS a1, CASE WHEN n > 0 THEN s END AS a2, r AS a3,
                 (SELECT max(n) FROM anabranch_data.sums) AS a4, mine(g) AS a5, g::positive AS a6
          FROM (SELECT *, n + 1 AS more FROM anabranch_data.sums AS state) AS state) AS final
    WHERE a1 > 0) AS copy;
SET LOCAL search_path = pg_catalog;
INSERT INTO anabranch.definition (copy, state, class, query, shape, search_path, fold, merge, shown_view)
VALUES ('public.sums', 'anabranch_data.sums', 'linear', '', '', '', '', '', pg_get_viewdef('public.sums'));
SET LOCAL search_path = public;
INSERT INTO anabranch_data.sums SELECT i, i::text, i, i, span(i, i + 1) FROM generate_series(1, 2000) AS i;
ANALYZE anabranch_data.sums;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  line text;
  found text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    found := coalesce(found, substring(line FROM 'Index Scan (?:Backward )?(?:using|on) (\S+)'));
  END LOOP;
  RETURN found;
END
$$;

SELECT is(anabranch.add_index('sums', '{total}')::text, 'anabranch_data.sums_case_idx', 'a computed column is indexed by its expression');
SELECT is(plan_of('SELECT * FROM sums WHERE total = 5'), 'sums_case_idx', 'and found by it');
SELECT is(plan_of('SELECT * FROM sums ORDER BY total DESC LIMIT 10'), 'sums_case_idx', 'in its order as well');
SELECT is(anabranch.add_index('sums', ARRAY['x";y', 'count'])::text, 'anabranch_data."sums_a ""b_n_idx"', 'columns have the copy''s names, whatever they are');
SELECT ok(anabranch.add_index('sums', '{half}', 'brin') IS NOT NULL, 'other methods can be named');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{no}')$$, '42703', 'the copy has no column "no"', 'an unknown column is refused');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{}')$$, '22023', 'an index needs at least one column', 'as are no columns');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{id}', 'btree (id); DROP TABLE x; --')$$, '22023', NULL, 'and methods that are none');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{of_all}')$$, '0A000', 'column "of_all" cannot be indexed', 'a column of more than one row has no index');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{foreign_code}')$$, '0A000', 'column "foreign_code" cannot be indexed', 'nor one that would run somebody''s function as our owner');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{checked}')$$, '0A000', 'column "checked" cannot be indexed', 'or somebody''s check of a domain');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{merged}')$$, '0A000', 'column "merged" cannot be indexed', 'or makes a value that statistics would measure');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{span}', 'gist')$$, '0A000', NULL, 'or what somebody named to measure his ranges');
SELECT * FROM finish();
ROLLBACK;
