\set ECHO none
\i test/fixture/start.sql
SELECT plan(14);

CREATE TABLE item (id int, part int, note text, twice int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (part, id));
ALTER TABLE item ALTER note SET STORAGE EXTERNAL;
INSERT INTO item SELECT g, g % 2, CASE WHEN g = 5 THEN repeat('x', 5000) ELSE 'note ' || g END FROM generate_series(1, 10) AS g;
CREATE PUBLICATION rows FOR TABLE item WHERE (part >= 0 AND id <> 7);
CREATE FUNCTION ids(after bytea, rows_max int, bytes_max int DEFAULT 1000000, condition text DEFAULT NULL, careful boolean DEFAULT false)
RETURNS int[] LANGUAGE sql AS $$
  SELECT array_agg((d -> 'after' ->> 'id')::int) FROM (
    SELECT anabranch.decode(string_agg(frame, '' ORDER BY n)) AS d
    FROM anabranch.read_content('item'::regclass, 'rows', after, rows_max, bytes_max, condition, careful, 1000000)
         WITH ORDINALITY AS r (frame, snapshot, lsn, scanned, upper, system_identifier, timeline, n) WHERE frame IS NOT NULL) AS decoded
  WHERE d ->> 'kind' = 'insert' $$;
CREATE FUNCTION upper(after bytea, rows_max int) RETURNS bytea LANGUAGE sql AS $$
  SELECT r.upper FROM anabranch.read_content('item'::regclass, 'rows', after, rows_max, 1000000, NULL, false, 1000000) AS r WHERE r.frame IS NULL $$;

SELECT is(ids(NULL, 100), ARRAY[2, 4, 6, 8, 10, 1, 3, 5, 9], 'rows come in the order of the key, those that the filter lets through');
SELECT is(upper(NULL, 100), NULL, 'behind the last there is no key');
SELECT is(ids(NULL, 3), ARRAY[2, 4, 6], 'no more than were asked for');
SELECT is(ids(upper(NULL, 3), 3), ARRAY[8, 10, 1], 'the next call goes on behind the key');
SELECT is(ids(upper(NULL, 8), 1), NULL, 'a row that the filter leaves out counts among those read');
SELECT is(ids(NULL, 100, 1), ARRAY[2], 'a chunk ends with the row that fills it');
SELECT is(ids(NULL, 100, 1000000, 'item.id > 4 AND note LIKE ''note%'''), ARRAY[6, 8, 10, 9], 'a condition picks rows');
SELECT is(ids(NULL, 100, 1000000, NULL, true), ids(NULL, 100), 'with care for every value it is the same');
SELECT is((SELECT length(d -> 'after' ->> 'note') FROM anabranch.read_content('item'::regclass, 'rows', NULL, 100, 1000000, 'id = 5', false, 1000000) AS r,
             anabranch.decode(r.frame) AS d WHERE r.frame IS NOT NULL AND d ->> 'kind' = 'insert'), 5000, 'a value that is kept out of line is whole');
SELECT is((SELECT d -> 'after_gaps' #>> '{omitted,0,reason}' FROM anabranch.read_content('item'::regclass, 'rows', NULL, 100, 1000000, 'id = 5', false, 4999) AS r,
             anabranch.decode(r.frame) AS d WHERE r.frame IS NOT NULL AND d ->> 'kind' = 'insert'), 'a value of 5000 bytes', 'one that is larger than wanted is told by its size');
SELECT is((SELECT pg_visible_in_snapshot(pg_current_xact_id(), r.snapshot::pg_snapshot) FROM anabranch.read_content('item'::regclass, 'rows', NULL, 1, 1, NULL, false, 1000000) AS r
           WHERE r.frame IS NULL), false, 'the snapshot tells which transactions are under way');
SELECT throws_ok($$ SELECT ids('\x0801', 3) $$, 'AN010', 'the key to go on from is not one of table "item"', 'a key of other columns is refused');
CREATE TABLE keyless (x int);
ALTER PUBLICATION rows ADD TABLE keyless;
SELECT throws_like($$ SELECT anabranch.read_content('keyless'::regclass, 'rows', NULL, 1, 1, NULL, false, 1000000) $$, 'table "keyless" has no key by which its rows could be read',
                   'a table without a key is refused');
SELECT throws_like($$ SELECT anabranch.read_content('item'::regclass, 'nosuch', NULL, 1, 1, NULL, false, 1000000) $$, 'table "item" is not published by publication "nosuch"',
                   'a table that is not published is refused');
SELECT * FROM finish();
ROLLBACK;
