\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(9);

-- Every row of a state table is found by its key, whichever versions of it there are, dead ones last among them.
CREATE TABLE item (id int PRIMARY KEY, shelf text, box int, n int);
ALTER TABLE item REPLICA IDENTITY FULL;
INSERT INTO item SELECT i, nullif('shelf ' || i % 7, 'shelf 3'), nullif(i % 40, 5), i FROM generate_series(1, 500) AS i;
SELECT anabranch.create_aggregate_table('boxes', 'SELECT shelf, box, count(*) AS items, sum(n) AS n FROM item GROUP BY shelf, box') \g /dev/null
SELECT anabranch.create_aggregate_table('total', 'SELECT count(*) AS items, sum(n) AS n FROM item') \g /dev/null
SELECT anabranch.create_aggregate_table('even', 'SELECT id, shelf, n FROM item WHERE n % 2 = 0') \g /dev/null
SELECT fill(copy) FROM anabranch.definition \g /dev/null
SELECT watch('item') \g /dev/null

CREATE FUNCTION all_differences() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(copy::text || E'\n' || difference, E'\n')
  FROM (SELECT d.copy, differences(d.copy) AS difference FROM anabranch.definition AS d) AS each WHERE difference <> ''
$$;
CREATE FUNCTION touch(number int) RETURNS void LANGUAGE sql AS $$
  DELETE FROM item WHERE id % 13 = number;
  UPDATE item SET n = n + 1 WHERE id % 3 = number % 3;
  UPDATE item SET box = (box + 1) % 44 WHERE id % 5 = number % 5;
  INSERT INTO item SELECT 10000 * number + i, 'shelf ' || number, i, i FROM generate_series(1, 20) AS i;
$$;
-- Leaves the versions of an aborted batch behind, in new pages and new entries of the index.
CREATE FUNCTION abort_a_batch() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE item SET n = n + 1000;
  PERFORM sync(copy) FROM anabranch.definition;
  PERFORM sync(copy) FROM anabranch.definition;
  RAISE EXCEPTION 'aborted';
EXCEPTION WHEN raise_exception THEN
  NULL;
END
$$;
CREATE FUNCTION rounds() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  FOR number IN 1..3 LOOP
    PERFORM abort_a_batch();
    PERFORM touch(number);
    PERFORM sync(copy) FROM anabranch.definition;
    RETURN NEXT is(all_differences(), NULL, 'after an aborted batch');
    PERFORM touch(number + 3);
    PERFORM sync(copy) FROM anabranch.definition;
    RETURN NEXT is(all_differences(), NULL, 'after a batch');
  END LOOP;
END
$$;
SELECT rounds();

SELECT is((SELECT count(*) FROM boxes), (SELECT count(*) FROM (SELECT DISTINCT shelf, box FROM boxes) AS keys), 'one row a group');
SELECT is((SELECT count(*) FROM even), (SELECT count(DISTINCT id) FROM even), 'one row a key');
DO $$
BEGIN
  EXECUTE (SELECT format('DROP INDEX %s', string_agg(indexrelid::regclass::text, ', ')) FROM pg_index
           WHERE indrelid = (SELECT state FROM anabranch.definition WHERE copy = 'boxes'::regclass));
END
$$;
SELECT touch(9) \g /dev/null
SELECT throws_ok($$ SELECT sync('boxes') $$, 'AN004', 'the index over the key of copy "boxes" is gone', 'a copy without its index is stale');
SELECT * FROM finish();
ROLLBACK;
