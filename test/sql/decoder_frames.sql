-- Frames: records gathered to about 64 KB, none of them cut, a commit's checksum over all of them.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(6);
CREATE TABLE item (id int PRIMARY KEY, v text);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();
INSERT INTO item SELECT i, md5(i::text) FROM generate_series(1, 5000) AS i;
INSERT INTO item VALUES (6000, 'x');
INSERT INTO item VALUES (6001, 'y');
CREATE TEMP TABLE frame AS SELECT row_number() OVER () AS number, lsn, data
  FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', 'publication_names', 'decoder');
SELECT is((SELECT count(*)::int FROM frame), (SELECT count(*)::int + 2 FROM frame WHERE octet_length(data) > 60000) + 1, 'a transaction ends its last frame');
SELECT ok((SELECT count(*) > 2 AND bool_and(octet_length(data) BETWEEN 65536 AND 65536 + 200) FROM frame WHERE octet_length(data) > 60000), 'a frame is written when it has passed 64 KB');
SELECT is((SELECT count(*)::int FROM frame, anabranch.decode(data) AS record WHERE record->>'kind' = 'insert'), 5002, 'every frame can be read alone');
SELECT results_eq($$SELECT record->'after'->>'1' FROM (SELECT data FROM frame ORDER BY number OFFSET 1 LIMIT 1) AS second, anabranch.decode(data) AS record LIMIT 1$$,
  $$SELECT record->'after'->>'1' FROM (SELECT data FROM frame ORDER BY number OFFSET 1 LIMIT 1) AS second, anabranch.decode(data) AS record LIMIT 1$$, 'without its description a row is shown by numbers');
SELECT ok((SELECT bool_and(lsn > '0/0') AND count(DISTINCT lsn) >= 3 FROM frame), 'a frame has a position');
SELECT results_eq($$SELECT (record->>'changes')::int, record ? 'crc' FROM frame, anabranch.decode(data) AS record WHERE record->>'kind' = 'commit'$$,
  'VALUES (5000, true), (1, true), (1, true)', 'each commit has a count and a checksum');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item;
