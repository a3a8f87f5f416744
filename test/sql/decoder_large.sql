-- Values too large for a record come in pieces; what cannot be printed at all is named. Nothing stops the stream.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(14);
CREATE TABLE item (id int PRIMARY KEY, content bytea, body text, doc jsonb, numbers int[], note text, packed bytea);
ALTER TABLE item ALTER content SET STORAGE EXTERNAL, ALTER body SET STORAGE EXTERNAL;
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();

CREATE TEMP TABLE told (number bigint, record jsonb);

-- The pieces of every value, put together: their column, whether of the old row, and a digest.
CREATE FUNCTION pg_temp.pieced() RETURNS TABLE (column_number int, is_before bool, pieces bigint, is_gapless bool, digest text) LANGUAGE sql AS $$
  SELECT (record->>'number')::int, coalesce((record->>'before')::bool, false), count(*),
    bool_and(coalesce((record->>'offset')::int, 0) = expected_offset) AND max((record->>'total')::int) = sum(size),
    md5(string_agg((record->>'data')::bytea, '' ORDER BY number))
  FROM (SELECT *, sum(size) OVER (PARTITION BY record->>'before', record->>'number' ORDER BY number) - size AS expected_offset
        FROM (SELECT *, octet_length((record->>'data')::bytea) AS size FROM told WHERE record->>'kind' = 'fragment') AS sized) AS summed
  GROUP BY 1, 2 ORDER BY 1, 2
$$;

INSERT INTO item VALUES (1, decode(repeat('00ff27', 1000000), 'hex'), repeat('€', 700000), NULL, ARRAY(SELECT generate_series(1, 300000)), repeat('n', 1048576));
INSERT INTO told SELECT * FROM pg_temp.records();
SELECT results_eq($$SELECT pg_temp.line(record) FROM told WHERE record->>'kind' NOT IN ('fragment', 'relation')$$,
  ARRAY['begin', format('insert public.item -> {"id": 1, "note": "%s"} gaps {"fragmented": ["content", "body", "numbers"]}', repeat('n', 1048576)), 'commit 1'],
  'the row names the columns that come in pieces; 1 MB still stands in the row');
SELECT results_eq('SELECT * FROM pg_temp.pieced()', $$SELECT column_number, false, pieces, true, md5(value)
  FROM item, LATERAL (VALUES (2, content, 3::bigint), (3, convert_to(body, 'UTF8'), 3), (5, convert_to(numbers::text, 'UTF8'), 2)) AS expected (column_number, value, pieces)
  ORDER BY 1$$, 'bytea, text and printed values in pieces, without gaps, with their totals');

TRUNCATE told;
ALTER TABLE item REPLICA IDENTITY FULL;
SELECT md5(body) AS old_body FROM item \gset
UPDATE item SET content = NULL, numbers = NULL, note = NULL, body = body || 'x';
INSERT INTO told SELECT * FROM pg_temp.records() WHERE record->>'kind' <> 'truncate';
SELECT results_eq('SELECT column_number, is_before, pieces, is_gapless FROM pg_temp.pieced()',
  'VALUES (2, true, 3::bigint, true), (3, false, 3, true), (3, true, 3, true), (5, true, 2, true)', 'pieces of the old row are told from those of the new one');
SELECT is((SELECT digest FROM pg_temp.pieced() WHERE column_number = 3 AND is_before), :'old_body', 'the old row''s');
SELECT is((SELECT digest FROM pg_temp.pieced() WHERE column_number = 3 AND NOT is_before), (SELECT md5(body) FROM item), 'the new row''s');
SELECT results_eq($$SELECT record->'before_gaps', record->'after_gaps' FROM told WHERE record->>'kind' = 'update'$$,
  $$VALUES ('{"fragmented": ["content", "body", "numbers"]}'::jsonb, '{"fragmented": ["body"]}'::jsonb)$$, 'both rows name theirs');
DELETE FROM item;
SELECT count(*) AS pieces FROM pg_temp.records() WHERE record->>'kind' = 'fragment' \gset
SELECT is(:pieces, 3, 'a delete of a full row has them too');

-- Many values just under the bound in one row.
DO $$ BEGIN EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, ' || (SELECT string_agg(format('c%s text', i), ', ') FROM generate_series(2, 100) AS i) || ')'; END $$;
ALTER PUBLICATION decoder ADD TABLE wide;
DO $$ BEGIN EXECUTE 'INSERT INTO wide VALUES (1, ' || (SELECT string_agg(CASE WHEN i % 2 = 0 THEN 'repeat(''x'', 1000000)' ELSE 'repeat(''y'', 1500000)' END, ', ') FROM generate_series(2, 100) AS i) || ')'; END $$;
SELECT is((SELECT count(*)::int FROM pg_temp.records() WHERE record->>'kind' = 'fragment'), 49 * 2, 'as long as a row stays under 64 MB only large values are cut');
DO $$ BEGIN EXECUTE 'UPDATE wide SET id = 2, ' || (SELECT string_agg(format('c%s = repeat(''z'', 1000000)', i), ', ') FROM generate_series(2, 100) AS i); END $$;
SELECT is((SELECT count(*)::int FROM pg_temp.records() WHERE record->>'kind' = 'fragment'), 99, 'in a larger one the others too');

-- A jsonb of 100 kB which takes more than 1 GB to print: numbers of 131,072 digits, most of them zeros that are not stored.
INSERT INTO item (id, doc, note) SELECT 2, jsonb_agg(1e131071::numeric), 'printable' FROM generate_series(1, 8300);
INSERT INTO item (id, note) VALUES (3, 'the stream goes on');
SELECT results_eq($$SELECT regexp_replace(change, '"(out of memory|string buffer exceeds maximum allowed length[^"]*)"', '"too long"') FROM pg_temp.changes() AS change$$, ARRAY[
  'insert public.item -> {"id": 2, "note": "printable"} gaps {"omitted": [{"column": "doc", "reason": "too long", "sqlstate": "54000"}]}',
  'insert public.item -> {"id": 3, "note": "the stream goes on"}'], 'a value that cannot be printed is omitted with the reason');

-- 600 MB, of which test_decoding would make 1.2 GB of text and fail; compressed on disk.
TRUNCATE item;
ALTER TABLE item REPLICA IDENTITY DEFAULT;
SELECT count(*) FROM pg_temp.records() \g /dev/null
INSERT INTO item (id, packed) VALUES (4, convert_to(repeat('anabranch ', 60000000), 'UTF8'));
INSERT INTO item (id, note) VALUES (5, 'the stream goes on');
CREATE TEMP TABLE piece AS SELECT record->>'kind' AS kind, octet_length(data) AS frame_size, (length(record->>'data') - 2) / 2 AS size
  FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', 'publication_names', 'decoder') AS frame,
       anabranch.decode(frame.data) AS record;
SELECT is((SELECT count(*)::int FROM piece WHERE kind = 'fragment'), 573, '600 MB come in 573 pieces');
SELECT ok((SELECT max(frame_size) < 1.2 * 1024 * 1024 FROM piece), 'of 1 MB each');
SELECT is((SELECT sum(size)::int FROM piece WHERE kind = 'fragment'), 600000000, 'and are complete');
SELECT is((SELECT count(*)::int FROM piece WHERE kind = 'insert'), 2, 'and the stream goes on');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item, wide;
