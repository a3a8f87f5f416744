-- The caller's settings change nothing in what is decoded, and come back afterwards.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(3);
CREATE TABLE item (id int PRIMARY KEY, t timetz, i interval, f point, b bytea[], m money, r regclass, d date[]);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();
INSERT INTO item VALUES (1, '01:02:03+05', '-1 mon 2 days', '(0.1,0.3)', ARRAY['\x00ff'::bytea], 12.5, 'item', '{2024-02-01}');
CREATE TEMP TABLE told AS SELECT * FROM pg_temp.records();
INSERT INTO item VALUES (2, '01:02:03+05', '-1 mon 2 days', '(0.1,0.3)', ARRAY['\x00ff'::bytea], 12.5, 'item', '{2024-02-01}');
SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = -5; SET bytea_output = 'escape';
SET timezone = 'Asia/Tokyo'; SET quote_all_identifiers = on;
INSERT INTO told SELECT * FROM pg_temp.records();
SELECT is((SELECT (record->'after') - 'id'::text FROM told WHERE record->'after'->>'id' = '2'), (SELECT (record->'after') - 'id'::text FROM told WHERE record->'after'->>'id' = '1'),
  'the same values whatever the settings');
SELECT is((SELECT record->'after'->>'r' FROM told WHERE record->'after'->>'id' = '2'), 'item'::regclass::oid::text, 'a relation is told by its number, whatever its name');
SELECT is(concat_ws(' ', current_setting('datestyle'), current_setting('intervalstyle'), current_setting('extra_float_digits'), current_setting('bytea_output'),
  current_setting('timezone'), current_setting('quote_all_identifiers')), 'German, DMY iso_8601 -5 escape Asia/Tokyo on', 'and the settings are as they were');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item;
