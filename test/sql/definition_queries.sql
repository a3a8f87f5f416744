\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(38);

-- Forms of queries, each filled, changed and compared with what PostgreSQL makes of it, columns included.
CREATE TABLE sale (id int PRIMARY KEY, shop text, day date, amount numeric(10, 2), items int, paid boolean, at timestamptz, note text COLLATE "C");
CREATE TABLE refund (id int PRIMARY KEY, shop varchar(20), amount numeric, at timestamp);
ALTER TABLE sale REPLICA IDENTITY FULL;
ALTER TABLE refund REPLICA IDENTITY FULL;
CREATE VIEW paid_sale (place, money, number, day) AS SELECT shop, amount, items, day FROM sale WHERE paid;
CREATE VIEW per_shop AS SELECT place, count(*) AS sales, sum(money) AS total FROM paid_sale GROUP BY place;
CREATE VIEW movement AS SELECT shop::text AS shop, amount FROM sale UNION ALL SELECT shop, -amount FROM refund;
INSERT INTO sale SELECT i, 'shop ' || i % 7, '2026-01-01'::date + i % 10, i * 1.25, i % 5, i % 3 <> 0, '2026-01-01 12:00+00'::timestamptz + i * interval '1 h', left('abcdef', i % 6)
FROM generate_series(1, 100) AS i;
INSERT INTO refund SELECT i, CASE WHEN i % 6 > 0 THEN 'shop ' || i % 6 END, i, '2026-01-02'::timestamp + i * interval '1 h' FROM generate_series(1, 40) AS i;

CREATE TABLE form (number int GENERATED ALWAYS AS IDENTITY, name text, query text);
INSERT INTO form (name, query) VALUES
  ('group keys that are not selected', 'SELECT count(*) AS n FROM sale GROUP BY shop, day'),
  ('an expression as the group key', 'SELECT extract(year FROM day) AS year, extract(month FROM day), count(*) FROM sale GROUP BY 1, 2'),
  ('a group expression inside another', 'SELECT upper(shop) || ''!'' AS loud, sum(items) FROM sale GROUP BY upper(shop)'),
  ('groups without aggregates', 'SELECT shop, paid FROM sale GROUP BY shop, paid'),
  ('one key under two names', 'SELECT shop AS a, shop AS b, count(*) FROM sale GROUP BY shop'),
  ('a constant in the select list', 'SELECT ''all'' AS label, 7 AS seven, shop, count(*) FROM sale GROUP BY shop'),
  ('HAVING', 'SELECT shop FROM sale GROUP BY shop HAVING sum(amount) > 500 AND count(*) FILTER (WHERE paid) > 3'),
  ('HAVING without GROUP BY', 'SELECT count(*) AS n FROM sale HAVING count(*) > 20'),
  ('expressions over aggregates', 'SELECT shop, sum(amount) / count(*) AS mean, CASE WHEN bool_or(paid) THEN max_of END AS any FROM (SELECT shop, amount, paid, 1 AS max_of FROM sale) AS s GROUP BY shop, max_of'),
  ('FILTER', 'SELECT shop, count(*) FILTER (WHERE paid) AS paid, sum(amount) FILTER (WHERE items > 2 AND paid), count(note) FILTER (WHERE note <> '''') FROM sale GROUP BY shop'),
  ('a filter that guards its argument', 'SELECT shop, sum(10 / items) FILTER (WHERE items <> 0) AS guarded FROM sale GROUP BY shop'),
  ('WHERE that guards the rest', 'SELECT shop, sum(10 / items) AS guarded FROM sale WHERE items <> 0 GROUP BY shop'),
  ('a view', 'SELECT place, sum(money), avg(number) FROM paid_sale WHERE day > ''2026-01-03'' GROUP BY place'),
  ('a view that aggregates', 'SELECT * FROM per_shop'),
  ('a selection from a view that aggregates', 'SELECT place || ''.'' AS place, total FROM per_shop WHERE sales > 5'),
  ('a view over UNION ALL', 'SELECT shop, sum(amount) AS balance, count(*) FROM movement GROUP BY shop'),
  ('a CTE', 'WITH big AS (SELECT * FROM sale WHERE amount > 20) SELECT shop, count(*) FROM big GROUP BY shop'),
  ('a CTE used twice', 'WITH s (place, a) AS (SELECT shop, amount FROM sale), t AS (SELECT place, a FROM s UNION ALL SELECT place, -a FROM s WHERE a > 30) SELECT place, sum(a) FROM t GROUP BY place'),
  ('CTEs in each other', 'WITH a AS (SELECT * FROM sale), b AS (WITH c AS (SELECT shop, items FROM a) SELECT * FROM c) SELECT shop, sum(items) FROM (SELECT * FROM b UNION ALL SELECT shop, items FROM a) AS u GROUP BY shop'),
  ('one table in several branches', 'SELECT k, count(*) FROM (SELECT shop AS k FROM sale UNION ALL SELECT note FROM sale UNION ALL (SELECT day::text FROM (SELECT extract(day FROM day) AS day FROM sale) AS d UNION ALL SELECT ''x'' FROM refund)) AS u GROUP BY k'),
  ('branches of different types', 'SELECT k, sum(v), avg(v) FROM (SELECT id AS k, items AS v FROM sale UNION ALL SELECT id, amount FROM refund UNION ALL SELECT NULL, 1.50 FROM sale) AS u GROUP BY k'),
  ('subqueries in subqueries', 'SELECT c, count(*) FROM (SELECT b + 1 AS c FROM (SELECT a * 2 AS b FROM (SELECT items AS a, note FROM sale) AS x WHERE note <> ''a'') AS y WHERE b < 7) AS z GROUP BY c'),
  ('aliases of table and columns', 'SELECT x.b, count(x.a) FROM sale AS x (a, b, c) GROUP BY x.b'),
  ('a time zone by name', 'SELECT (at AT TIME ZONE ''Europe/Berlin'')::date AS day, count(*) FROM sale WHERE at > ''2026-01-02 00:00+01'' GROUP BY 1'),
  ('collations', 'SELECT note, shop COLLATE "C" AS shop, count(*) FROM sale GROUP BY note, shop COLLATE "C"'),
  ('constants of many types', 'SELECT day - date ''2026-01-05'' AS days, interval ''1 mon 2 days'' * items AS i, sum(amount * 1.50) AS s, ''{1,NULL}''::int[] AS a, 0.1::float8 AS f, ''\x00ff''::bytea AS b, E''it''''s\n'' AS q FROM sale GROUP BY 1, 2'),
  ('no rows', 'SELECT shop, sum(items) FROM sale WHERE false GROUP BY shop'),
  ('no rows and no groups', 'SELECT count(*), sum(items), avg(items), bool_and(paid) FROM sale WHERE false'),
  ('rows of a view', 'SELECT place, money FROM paid_sale'),
  ('rows of a CTE used twice', 'WITH s AS (SELECT id, shop, amount FROM sale) SELECT * FROM s UNION ALL SELECT id, shop, -amount FROM s WHERE amount > 50'),
  ('rows of nested branches', 'SELECT id FROM sale UNION ALL (SELECT id FROM refund UNION ALL SELECT -id FROM refund WHERE id > 3)'),
  ('rows under a condition of their own', 'SELECT * FROM (SELECT id, 10 / items AS share FROM sale WHERE items <> 0) AS s WHERE share > 2'),
  ('no column but constants', 'SELECT 1 AS one FROM sale');

SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SELECT lives_ok(format('SELECT anabranch.create_aggregate_table(%L, %L)', 'form_' || number, query), name || ': accepted') FROM form ORDER BY number;
RESET datestyle;
RESET intervalstyle;

CREATE FUNCTION columns_of(relation regclass) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attcollation), ', ' ORDER BY attnum)
  FROM pg_attribute WHERE attrelid = relation AND attnum > 0
$$;
DO $do$
DECLARE
  f form;
BEGIN
  FOR f IN TABLE form LOOP
    EXECUTE format('CREATE VIEW wanted_%s AS %s', f.number, f.query);
  END LOOP;
END
$do$;
SELECT is_empty($$
  SELECT name, columns_of('form_' || number), columns_of('wanted_' || number) FROM form
  WHERE columns_of('form_' || number) <> columns_of('wanted_' || number)
$$, 'all have the columns of their queries, with types and collations');

CREATE FUNCTION all_differences() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT name || E'\n' || difference
  FROM (SELECT f.name, differences(('form_' || number)::regclass) AS difference FROM form AS f) AS each WHERE difference <> ''
$$;
SELECT fill(copy, 13) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'filled, all equal their queries');
SELECT watch(t) FROM unnest(ARRAY['sale', 'refund']::regclass[]) AS t \g /dev/null
INSERT INTO sale SELECT i, 'shop ' || i % 9, '2026-01-06'::date + i % 10, i * 0.35, (i + 1) % 5, i % 2 <> 0, '2026-01-01 12:00+00'::timestamptz + i * interval '1 h', left('zyx', i % 4)
FROM generate_series(101, 160) AS i;
INSERT INTO sale (id) VALUES (1000), (1001);
UPDATE sale SET shop = NULL, items = items + 1 WHERE id % 10 = 3;
UPDATE sale SET paid = NOT paid, amount = amount * 2 WHERE id % 10 = 4;
UPDATE sale SET id = -id WHERE id % 10 = 5;
UPDATE refund SET amount = amount + 0.001, shop = 'shop 8' WHERE id % 4 = 1;
DELETE FROM sale WHERE id % 10 = 6 OR shop = 'shop 2';
DELETE FROM refund WHERE id % 4 = 2;
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'changed, all equal their queries');
DELETE FROM sale WHERE id % 2 = 0;
DELETE FROM refund;
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'changed again, all equal their queries');
DELETE FROM sale;
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'emptied, all equal their queries');

SELECT * FROM finish();
ROLLBACK;
