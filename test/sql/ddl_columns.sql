\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(18);

CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE orders (gone int, id int PRIMARY KEY, amount numeric(10,2), note text, feeling mood, other int);
ALTER TABLE orders DROP COLUMN gone;
SELECT define('by_amount', 'orders', '{amount}', '{id}') IS NULL AS ignore \gset
SELECT define('by_note', 'orders', '{note,feeling}', '{id}') IS NULL AS ignore \gset

ALTER TABLE orders ADD COLUMN late text DEFAULT 'x', ALTER COLUMN amount SET NOT NULL, ADD CHECK (amount > 0);
ALTER TABLE orders DROP COLUMN other;
ALTER TABLE orders RENAME TO purchases;
ALTER TABLE purchases RENAME TO orders;
CREATE SCHEMA elsewhere;
ALTER TABLE orders SET SCHEMA elsewhere;
ALTER TABLE elsewhere.orders SET SCHEMA public;
CREATE INDEX ON orders (note);
SELECT is(take_recorded(), 'nothing', 'what no copy uses may come and go, and a table may get another name');

SET LOCAL quote_all_identifiers = on;
SET LOCAL standard_conforming_strings = off;
SET LOCAL transform_null_equals = on;
SET LOCAL escape_string_warning = off;
ALTER TABLE orders ADD COLUMN "new one" int;
SET LOCAL quote_all_identifiers = off;
SET LOCAL standard_conforming_strings = on;
SET LOCAL transform_null_equals = off;
SELECT is(take_recorded(), 'nothing', 'settings of the session that gives the command do not matter');

ALTER TABLE orders RENAME amount TO total;
SELECT is(take_recorded(), 'by_amount: column amount of table public.orders was renamed to total', 'a renamed column makes the copies stale that use it');
ALTER TABLE orders RENAME total TO amount;
SELECT is(take_recorded(), 'nothing', 'its old name makes the copy fit again');

ALTER TABLE orders ALTER amount TYPE numeric(12,2);
SELECT is(take_recorded(), 'by_amount: column amount of table public.orders has changed its type: it was "amount numeric(10,2)", it is "amount numeric(12,2)"',
  'a change of type does, even one that rewrites nothing');
SELECT is((SELECT generation FROM anabranch.generation WHERE relation = 'orders'::regclass), 1, 'and counts as a generation');
ALTER TABLE orders ALTER amount TYPE numeric(10,2);
SELECT is((SELECT generation FROM anabranch.generation WHERE relation = 'orders'::regclass), 2, 'as does the way back');
SELECT is(take_recorded(), 'nothing', 'after which the copy fits');

ALTER TABLE orders ALTER note TYPE text USING upper(note);
SELECT is(take_recorded(), 'by_note: column note of table public.orders got new values', 'so do new values of an unchanged type');
ALTER TABLE orders ALTER late TYPE varchar USING upper(late);
SELECT is(take_recorded(), 'nothing', 'but not those of a column that no copy uses');
ALTER TABLE orders ALTER note TYPE text COLLATE "C";
SELECT alike(take_recorded(), 'by_note: column note of table public.orders has changed its type: %COLLATE pg_catalog."C"%', 'so does another collation');
ALTER TABLE orders ALTER note TYPE text COLLATE "default";
ALTER TYPE mood RENAME TO humour;
SELECT alike(take_recorded(), '%by_note: column feeling of table public.orders has changed its type: %mood%humour%', 'and another name of a type, which stored statements no longer know');
ALTER TYPE humour RENAME TO mood;
SELECT is(take_recorded(), 'nothing', 'until it has its old one');

ALTER TABLE orders DROP COLUMN amount;
SELECT is(take_recorded(), 'by_amount: column amount of table public.orders was dropped', 'a dropped column makes the copies stale that use it');
DROP TYPE mood CASCADE;
SELECT is(take_recorded(), E'by_amount: column amount of table public.orders was dropped\nby_note: column feeling of table public.orders was dropped',
  'also where it goes with its type');
UPDATE anabranch.progress SET state = 'stale';
ALTER TABLE orders RENAME note TO notes;
SELECT is(take_recorded(), 'nothing', 'a copy that is stale is not named again');
SELECT is((SELECT count(*)::int FROM anabranch.ddl), 0, 'no record is left');
SELECT is(
  (SELECT array_agg((attnum, attisdropped, CASE WHEN NOT attisdropped THEN attname END, format_type(atttypid, atttypmod)) ORDER BY attnum)
   FROM pg_attribute WHERE attrelid = (SELECT shadow FROM anabranch.definition_source LIMIT 1) AND attnum > 0 AND NOT attisdropped)::text,
  (SELECT array_agg((attnum, attisdropped, CASE WHEN NOT attisdropped THEN attname END, format_type(atttypid, atttypmod)) ORDER BY attnum)
   FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped)::text,
  'the shadow has followed, column by column and number by number');
SELECT * FROM finish();
ROLLBACK;
