\set ECHO none
\i test/fixture/start.sql
SELECT plan(15);
CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric, note text);
ALTER TABLE orders REPLICA IDENTITY FULL;
CREATE TABLE visits (id int PRIMARY KEY, page int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (100);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (100) TO (200);
INSERT INTO visits SELECT i, i FROM generate_series(1, 150) AS i;
ANALYZE visits_1, visits_2;
CREATE FUNCTION explained(copy text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(regexp_replace(e.line, '\(\d+ (kB|bytes)\)', '(size)'), E'\n') FROM anabranch.explain($1) AS e (line)
$$;

SELECT anabranch.create_aggregate_table('sales', 'SELECT customer, count(*), sum(total) AS "Total" FROM orders GROUP BY customer') \g /dev/null
SELECT is(explained('sales'),
$$copy public.sales: groups, each a row of counters and sums; a change costs one row of each group that it touches
  shows customer text, count bigint, "Total" numeric
  is kept in anabranch_data.sales (size), in columns customer, anabranch_rows, anabranch_n1, anabranch_s1, anabranch_c1
source public.orders: not analysed yet
  reads id bigint, customer text, total numeric
  is filled by ranges of (id)
  needs of old rows all that it reads, which REPLICA IDENTITY FULL writes to the WAL with each UPDATE and DELETE$$, 'groups');
SELECT is((SELECT string_agg(substring(line, '^(\w+ \w+ by: (SELECT|WITH))'), ' ') FROM anabranch.explain('sales', statements => true) AS line),
  'folds changes by: SELECT merges them by: WITH shows them by: SELECT', 'the statements that keep a copy, when they are asked for');

SELECT anabranch.create_aggregate_table('pages', 'SELECT id, page FROM visits') \g /dev/null
SELECT is(explained('pages'),
$$copy public.pages: rows of its sources; a change costs one row
  shows id integer, page integer
  is kept in anabranch_data.pages (size), in columns id, page, anabranch_key
source public.visits: about 150 rows
  reads id integer, page integer
  is filled by ranges of (id)
  needs of old rows their key alone$$, 'rows of a partitioned table, told by their key');

SELECT anabranch.create_index('found', 'engine', 'SELECT total, count(*) AS n FROM orders GROUP BY total', '{total}', '{"shape": "hash", "key": "o:{total}"}') \g /dev/null
SELECT alike(explained('found'), $$%
index "found" of engine "engine": a document for each row, found by total
  with options {"key": "o:{total}", "shape": "hash"}
  tells values of these columns apart by their texts, equal ones too: total$$, 'an index outside the database');
SELECT anabranch.create_index('one', 'engine', 'SELECT count(*) AS n FROM orders', '{}') \g /dev/null
SELECT alike(explained('one'), $$%
index "one" of engine "engine": a document for each row
  with options {}$$, 'one of a single document');

SELECT anabranch.import_stream('events', 'id bigint, amount numeric') \g /dev/null
SELECT anabranch.create_aggregate_table('events', 'SELECT count(*) FROM anabranch_stream.events') \g /dev/null
SELECT alike(explained('events'), $$%
source anabranch_stream.events: messages
  reads that rows are there, and none of their columns
  is not filled: nothing keeps its messages$$, 'a stream');

ALTER TABLE orders REPLICA IDENTITY DEFAULT;
SELECT alike(explained('sales'), '%  but the replica identity of table public.orders is not FULL; run ALTER TABLE public.orders REPLICA IDENTITY FULL', 'what is in the way');
CREATE TABLE "Odd ""one" ("I d" int PRIMARY KEY, "a,b" text COLLATE "C");
ALTER TABLE "Odd ""one" ALTER "a,b" SET STORAGE PLAIN;
SELECT anabranch.create_aggregate_table('"Odd copy"', 'SELECT "I d", "a,b" FROM "Odd ""one"') \g /dev/null
SELECT is(explained('"Odd copy"'),
$$copy public."Odd copy": rows of its sources; a change costs one row
  shows "I d" integer, "a,b" text COLLATE pg_catalog."C"
  is kept in anabranch_data."Odd copy" (size), in columns "I d", "a,b", anabranch_key
source public."Odd ""one": not analysed yet
  reads "I d" integer, "a,b" text COLLATE pg_catalog."C"
  is filled by ranges of ("I d")
  needs of old rows their key alone$$, 'names that want quotes');
ALTER TABLE "Odd ""one" DROP COLUMN "I d";
SELECT alike(explained('"Odd copy"'), $$%
  reads "I d" integer, "a,b" text COLLATE pg_catalog."C"
  is filled by ranges of ("I d")
  needs of old rows their key alone
  but column "I d" of table public."Odd ""one" was dropped$$, 'a column that is gone');
DROP TABLE "Odd ""one";
SELECT alike(explained('"Odd copy"'), $$%
source that is gone
  reads "I d" integer, "a,b" text COLLATE pg_catalog."C"
  but a source table was dropped$$, 'a table that is gone');
DELETE FROM anabranch.progress WHERE copy = '"Odd copy"'::regclass;
SELECT alike(explained('"Odd copy"'), $$%a change costs one row
  was restored from a dump and not filled since: anabranch.resume fills it
%
  reads "I d" integer, "a,b" text COLLATE pg_catalog."C"$$, 'one that is not bound to its sources');

CREATE ROLE reader IN ROLE anabranch_monitor;
CREATE ROLE stranger;
SET LOCAL ROLE reader;
SELECT isnt_empty('SELECT anabranch.explain(''public.sales'')', 'a monitor may ask');
SET LOCAL ROLE stranger;
SELECT throws_ok('SELECT anabranch.explain(''public.sales'')', '42501', 'permission denied for function explain', 'not everybody');
RESET ROLE;
SELECT throws_ok('SELECT anabranch.explain(''orders'')', '42809', 'public.orders is not a copy made by anabranch', 'a table is no copy');
SELECT throws_ok('SELECT anabranch.explain(NULL)', '42809', NULL, 'nor is nothing');
SELECT * FROM finish();
ROLLBACK;
