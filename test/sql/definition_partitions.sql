\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
\i test/fixture/refusals.sql
SELECT plan(19);

-- Partitioned sources: one table to the definition, many to the replica identity.
CREATE TABLE event (id int, kind text, n int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE event_low PARTITION OF event FOR VALUES FROM (0) TO (100);
CREATE TABLE event_high (n int, gone int, id int NOT NULL PRIMARY KEY, kind text) PARTITION BY RANGE (id);
ALTER TABLE event_high DROP COLUMN gone;
CREATE TABLE event_high_1 PARTITION OF event_high FOR VALUES FROM (100) TO (200);
CREATE TABLE event_high_2 (kind text, id int NOT NULL PRIMARY KEY, n int);
ALTER TABLE event_high ATTACH PARTITION event_high_2 FOR VALUES FROM (200) TO (300);
ALTER TABLE event ATTACH PARTITION event_high FOR VALUES FROM (100) TO (300);
CREATE TABLE loose (a int, b int) PARTITION BY LIST (a);
CREATE TABLE loose_1 PARTITION OF loose FOR VALUES IN (1);
INSERT INTO event SELECT i * 3, 'kind ' || i % 4, i % 7 FROM generate_series(1, 90) AS i;
INSERT INTO loose SELECT 1, i % 3 FROM generate_series(1, 10) AS i;

SELECT is(refusal('SELECT kind, sum(n) FROM event GROUP BY kind'),
  E'the replica identity of table public.event_low does not suffice\nOld values of these columns are needed and not in the stream: "kind", "n".\nRun ALTER TABLE ONLY public.event_low REPLICA IDENTITY FULL; every UPDATE and DELETE on it then writes the whole old row to the WAL. prepare_sources => true does it.',
  'the identity of every partition has to suffice');
ALTER TABLE event_low REPLICA IDENTITY FULL;
ALTER TABLE event_high_1 REPLICA IDENTITY FULL;
SELECT alike(refusal('SELECT kind, sum(n) FROM event GROUP BY kind'), '%of table public.event_high_2 does not suffice%', 'one is not enough');
SELECT alike(refusal('SELECT count(*) FROM loose'), '%of table public.loose_1 does not suffice%It has no key%', 'nor may one have no key');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('by_kind', 'SELECT kind, sum(n), count(*) FROM event GROUP BY kind', true) $$, 'prepare_sources sees to all of them');
SELECT is((SELECT string_agg(relname || relreplident::text, ' ' ORDER BY relname) FROM pg_class WHERE oid IN (SELECT relid FROM pg_partition_tree('event') WHERE isleaf)),
          'event_high_1f event_high_2f event_lowf', 'partitions that hold rows, and only those');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('small_ids', 'SELECT id, n FROM event WHERE id < 150') $$, 'rows by their key');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('loose_sums', 'SELECT a, sum(b) FROM loose GROUP BY a', true) $$, 'no key at all');
SELECT is((SELECT string_agg(copy::text || key::text, ' ' ORDER BY copy::text) FROM anabranch.definition_source), 'by_kind{1} loose_sums{} small_ids{1}', 'the key is the root''s');
SELECT ok((SELECT pubviaroot FROM pg_publication WHERE pubname = 'anabranch'), 'partitions are published under their root');
SELECT is(refusal('SELECT count(*) FROM event_low'),
  E'table public.event_low cannot be a source: its changes are published as those of public.event\nSelect from public.event, with the partition''s bounds as the condition.',
  'so none of them can be a source of its own');

CREATE FUNCTION all_differences() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT copy::text || E'\n' || difference FROM (SELECT d.copy, differences(d.copy) AS difference FROM anabranch.definition AS d) AS each WHERE difference <> ''
$$;
SELECT fill(copy, 7) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'filled, all equal their queries');
SELECT watch(t) FROM unnest(ARRAY['event', 'loose']::regclass[]) AS t \g /dev/null
INSERT INTO event SELECT i * 3 + 1, 'kind ' || i % 5, i % 7 FROM generate_series(1, 90) AS i;
UPDATE event SET id = id + 100 WHERE id % 3 = 1 AND id % 100 = 4;
UPDATE event SET n = n + 1 WHERE id % 10 = 7;
DELETE FROM event WHERE id % 10 = 2;
INSERT INTO loose VALUES (1, 7), (1, 7);
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'changed and moved to other partitions, all equal their queries');

CREATE PUBLICATION other FOR TABLE event;
CREATE TABLE free (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE free_1 PARTITION OF free FOR VALUES FROM (0) TO (9);
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('of_free_1', 'SELECT count(*) FROM free_1') $$, 'a partition can be a source as long as its root is not published');
SELECT is(refusal('SELECT count(*) FROM free'),
  E'table public.free cannot be published: copy public.of_free_1 reads one of its partitions\nDrop that copy, and define it over public.free with the partition''s bounds as the condition.',
  'and then its root cannot');
SELECT anabranch.drop_aggregate_table('of_free_1') \g /dev/null
ALTER PUBLICATION anabranch SET (publish_via_partition_root = false);
SELECT alike(refusal('SELECT count(*) FROM free'), '%publishes partitions under their own names%ALTER PUBLICATION anabranch SET (publish_via_partition_root = true).', 'the other way round does not do');
ALTER PUBLICATION anabranch SET (publish_via_partition_root = true, publish = 'insert, update');
SELECT alike(refusal('SELECT count(*) FROM free'), '%does not publish every change%leaves out an operation%', 'nor does a publication of some operations');
ALTER PUBLICATION anabranch SET (publish = 'insert, update, delete, truncate');
CREATE TABLE narrow (id int PRIMARY KEY, n int);
ALTER PUBLICATION anabranch ADD TABLE narrow (id);
SELECT alike(refusal('SELECT id FROM narrow'), '%has a column list for it%', 'a column list');
ALTER PUBLICATION anabranch DROP TABLE narrow;
ALTER PUBLICATION anabranch ADD TABLE narrow WHERE (id > 3);
SELECT alike(refusal('SELECT id FROM narrow'), '%has a row filter for it%', 'a row filter');
ALTER PUBLICATION anabranch DROP TABLE narrow;
ALTER PUBLICATION anabranch ADD TABLES IN SCHEMA public;
SELECT is(refusal('SELECT id FROM narrow'), 'accepted', 'a whole schema does');
SELECT * FROM finish();
ROLLBACK;
