\set ECHO none
\i test/fixture/start.sql
SELECT plan(27);

-- A stream: a table that is called like its messages' prefix, empty, published, and the caller's.
CREATE ROLE maker NOLOGIN;
CREATE ROLE other NOLOGIN;
GRANT anabranch_operator TO maker;
CREATE SCHEMA made AUTHORIZATION maker;
SELECT throws_ok('SET ROLE other; SELECT anabranch.import_stream(''orders'', ''id int'')', '42501', 'permission denied for function import_stream', 'it is for operators');
RESET ROLE;
SET ROLE maker;
SELECT is(anabranch.import_stream('orders', 'id bigint, amount numeric(10,2), "at" timestamptz')::text, 'anabranch_stream.orders', 'it returns the table');
SELECT is((SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = 'anabranch_stream.orders'::regclass AND attnum > 0), 'id bigint, amount numeric(10,2), at timestamp with time zone', 'which has the columns');
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE oid = 'anabranch_stream.orders'::regclass), 'maker', 'and belongs to the caller');
SELECT is((SELECT string_agg(pubname, '') FROM pg_publication_tables WHERE schemaname = 'anabranch_stream' AND tablename = 'orders'), 'anabranch', 'it is published');
SELECT ok(obj_description('anabranch_stream.orders'::regclass, 'pg_class') LIKE '%pg_logical_emit_message(true, ''orders'', json)', 'its comment says how to send to it');
SELECT throws_ok('SELECT anabranch.import_stream(''orders'', ''id int'')', '42P07', 'relation "orders" already exists', 'a prefix is one stream');

SELECT lives_ok($$SELECT anabranch.create_aggregate_table('made.sums', 'SELECT id, count(*) AS n, sum(amount) AS amount FROM anabranch_stream.orders GROUP BY id')$$,
  'a copy names it in FROM');
SELECT lives_ok($$SELECT anabranch.create_aggregate_table('made.events', 'SELECT id, amount, "at" FROM anabranch_stream.orders WHERE amount > 0')$$,
  'a copy of rows, too');
RESET ROLE;
SELECT is((SELECT string_agg(class, ' ' ORDER BY copy::text) FROM anabranch.definition WHERE copy IN ('made.sums'::regclass, 'made.events'::regclass)), 'rows linear', 'of both classes');

-- What columns can be.
CREATE FUNCTION refused(columns text, prefix text DEFAULT 'p') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM anabranch.import_stream(prefix, columns);
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  RETURN sqlerrm;
END $$;
CREATE DOMAIN small AS int CHECK (value < 10);
CREATE TYPE mood AS ENUM ('good');
CREATE TABLE victim (id int);
SET ROLE maker;
SELECT is(refused(columns), expected, columns) FROM (VALUES
  ('', 'columns of a stream: there are none'),
  ('id', 'syntax error at end of input'),
  ('id int PRIMARY KEY', 'columns of a stream: "id" has more than a name and a type'),
  ('id int DEFAULT 7', 'columns of a stream: "id" has more than a name and a type'),
  ('id text COLLATE "C"', 'columns of a stream: "id" has more than a name and a type'),
  ('id int, CHECK (id > 0)', 'columns of a stream: constraints and LIKE are not for streams'),
  ('LIKE public.victim', 'columns of a stream: constraints and LIKE are not for streams'),
  ('id int); DROP TABLE public.victim; CREATE TABLE x (a int', 'columns of a stream: there is more than columns'),
  ('id int) WITH (fillfactor = 10', 'columns of a stream: there is more than columns'),
  ('id public.small', 'columns of a stream: "id" has the type public.small, which a stream cannot have'),
  ('id public.mood', 'columns of a stream: "id" has the type public.mood, which a stream cannot have'),
  ('id int[]', 'columns of a stream: "id" has the type integer[], which a stream cannot have'),
  ('id regclass', 'columns of a stream: "id" has the type regclass, which a stream cannot have')) AS bad (columns, expected);
SELECT is(refused('id int', 'a:b'), 'the prefix "a:b" of a stream has a colon', 'a colon begins a key');
SELECT is(refused('id int', ''), 'the prefix of a stream has 0 bytes, and must have 1 to 63', 'an empty prefix');
SELECT is(refused('id int', repeat('x', 64)), 'the prefix of a stream has 64 bytes, and must have 1 to 63', 'one that is no name');
SELECT is(refused('id int', 'anabranch'), 'the prefix "anabranch" is reserved', 'our own');
SELECT * FROM finish();
ROLLBACK;
