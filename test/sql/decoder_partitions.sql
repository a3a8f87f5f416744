-- Partitions: under their own names, or under the root with its attribute numbers.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(12);
CREATE TABLE city (gone int, id int, name text, country text, PRIMARY KEY (country, id)) PARTITION BY LIST (country);
ALTER TABLE city DROP COLUMN gone;
CREATE TABLE city_at (name text, junk int, country text NOT NULL, id int NOT NULL, PRIMARY KEY (country, id));
ALTER TABLE city_at DROP COLUMN junk;
ALTER TABLE city ATTACH PARTITION city_at FOR VALUES IN ('at');
CREATE TABLE city_eu PARTITION OF city FOR VALUES IN ('de', 'fr') PARTITION BY LIST (country);
CREATE TABLE city_de PARTITION OF city_eu FOR VALUES IN ('de');
CREATE TABLE city_fr PARTITION OF city_eu FOR VALUES IN ('fr');
CREATE PUBLICATION decoder FOR TABLE city;
SELECT pg_temp.open();

INSERT INTO city VALUES (1, 'Wien', 'at'), (2, 'Bonn', 'de');
UPDATE city SET country = 'de' WHERE id = 1;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.city_at default name:1:text country*:3:text id*:4:int4', 'insert public.city_at -> {"id": 1, "name": "Wien", "country": "at"}',
  'relation public.city_de default id*:1:int4 name:2:text country*:3:text', 'insert public.city_de -> {"id": 2, "name": "Bonn", "country": "de"}',
  'delete public.city_at key {"id": 1, "country": "at"} ->', 'insert public.city_de -> {"id": 1, "name": "Wien", "country": "de"}'],
  'without publish_via_partition_root under their own names; a row that moves is a delete and an insert');
TRUNCATE city;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['truncate public.city_at, public.city_de, public.city_fr'], 'so are truncates');

ALTER PUBLICATION decoder SET (publish_via_partition_root);
INSERT INTO city VALUES (1, 'Wien', 'at'), (2, 'Bonn', 'de'), (3, NULL, 'fr');
UPDATE city_at SET id = 4;
DELETE FROM city WHERE country <> 'fr';
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.city default id*:2:int4 name:3:text country*:4:text',
  'insert public.city -> {"id": 1, "name": "Wien", "country": "at"}', 'insert public.city -> {"id": 2, "name": "Bonn", "country": "de"}',
  'insert public.city -> {"id": 3, "country": "fr"}',
  'update public.city key {"id": 1, "country": "at"} -> {"id": 4, "name": "Wien", "country": "at"}',
  'delete public.city key {"id": 4, "country": "at"} ->', 'delete public.city key {"id": 2, "country": "de"} ->'],
  'with it under the root, described once, with the root''s numbers whatever those of the partitions');

TRUNCATE city;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['truncate public.city'], 'a truncate of the root');
TRUNCATE city_eu;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['truncate public.city/city_de, public.city/city_fr'], 'of a branch: of its leaves');
TRUNCATE city_at;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['truncate public.city/city_at'], 'of a leaf');

-- Partitions with other replica identities than the root: each row comes under the description that fits it.
ALTER TABLE city_at REPLICA IDENTITY FULL;
INSERT INTO city VALUES (1, 'Wien', 'at'), (2, 'Bonn', 'de');
UPDATE city SET name = NULL;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.city full id*:2:int4 name*:3:text country*:4:text', 'insert public.city -> {"id": 1, "name": "Wien", "country": "at"}',
  'relation public.city default id*:2:int4 name:3:text country*:4:text', 'insert public.city -> {"id": 2, "name": "Bonn", "country": "de"}',
  'relation public.city full id*:2:int4 name*:3:text country*:4:text', 'update public.city full {"id": 1, "name": "Wien", "country": "at"} -> {"id": 1, "country": "at"}',
  'relation public.city default id*:2:int4 name:3:text country*:4:text', 'update public.city -> {"id": 2, "country": "de"}'],
  'partitions that differ in replica identity');

ALTER TABLE city DETACH PARTITION city_at;
INSERT INTO city_at VALUES ('Graz', 'at', 5);
INSERT INTO city VALUES (6, 'Ulm', 'de');
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.city default id*:2:int4 name:3:text country*:4:text', 'insert public.city -> {"id": 6, "name": "Ulm", "country": "de"}'],
  'a partition that was detached is out, the root is not');
BEGIN;
ALTER TABLE city ATTACH PARTITION city_at FOR VALUES IN ('at');
ALTER TABLE city RENAME COLUMN name TO label;
INSERT INTO city_at VALUES ('Linz', 'at', 7);
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.city full id*:2:int4 label*:3:text country*:4:text', 'insert public.city -> {"id": 7, "label": "Linz", "country": "at"}'],
  'attached and renamed');
INSERT INTO city_de VALUES (8, 'Jena', 'de');
ALTER TABLE city RENAME TO town;
INSERT INTO city_de VALUES (9, 'Gera', 'de');
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.city default id*:2:int4 label:3:text country*:4:text', 'insert public.city -> {"id": 8, "label": "Jena", "country": "de"}',
  'relation public.town default id*:2:int4 label:3:text country*:4:text', 'insert public.town -> {"id": 9, "label": "Gera", "country": "de"}'],
  'the root''s new name is told for its partitions');
INSERT INTO city_de VALUES (10, 'Suhl', 'de');
ALTER PUBLICATION decoder DROP TABLE town;
INSERT INTO city_de VALUES (11, 'Jena', 'de');
INSERT INTO city_at VALUES ('Enns', 'at', 12);
ALTER PUBLICATION decoder ADD TABLE town, city_at;
INSERT INTO city_at VALUES ('Wels', 'at', 13);
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['insert public.town -> {"id": 10, "label": "Suhl", "country": "de"}', 'unselected public.town',
  'insert public.town -> {"id": 13, "label": "Wels", "country": "at"}'], 'a root that leaves is named once');
CREATE PUBLICATION all_of_it FOR ALL TABLES WITH (publish_via_partition_root);
INSERT INTO city_fr VALUES (14, 'Lyon', 'fr');
SELECT results_eq($$SELECT pg_temp.line(record) FROM (SELECT string_agg(data, '') AS frames
  FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', 'publication_names', 'all_of_it')) AS read, anabranch.decode(frames) AS record
  WHERE record->>'kind' = 'insert'$$, ARRAY['insert public.town -> {"id": 14, "label": "Lyon", "country": "fr"}'], 'all tables, by their roots');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder, all_of_it;
DROP TABLE town;
