\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(10);
CREATE FUNCTION refusal(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM anabranch.create_aggregate_table('refused', query);
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  RETURN sqlerrm;
END $$;

-- Stored columns are left out of the stream, and yet the server wants them published where whole old rows are.
CREATE TABLE item (id int PRIMARY KEY, price int, doubled int GENERATED ALWAYS AS (price * 2) STORED, note text);
ALTER TABLE item REPLICA IDENTITY FULL;
INSERT INTO item (id, price, note) SELECT i, i % 7, 'n' || i FROM generate_series(1, 50) AS i;
CREATE VIEW item_view AS SELECT id, doubled FROM item;
SELECT is(refusal(query), 'generated column "doubled" of table public.item is not in the stream of changes', query)
FROM (VALUES ('SELECT doubled, count(*) FROM item GROUP BY doubled'), ('SELECT count(*) FROM item WHERE doubled > 3'),
             ('SELECT sum(doubled) FROM item_view')) AS t (query);
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('prices', 'SELECT price * 2 AS doubled, count(*), count(note) AS notes FROM item GROUP BY price') $$,
                'its expression instead');
SELECT fill('prices', 7) \g /dev/null
SELECT is(differences('prices'), '', 'filled, equal to its query');
SELECT watch('item') \g /dev/null
UPDATE item SET price = price + 1 WHERE id % 3 = 0;
INSERT INTO item (id, price) VALUES (100, 1), (101, NULL);
DELETE FROM item WHERE id % 5 = 0;
SELECT sync('prices') \g /dev/null
SELECT is(differences('prices'), '', 'changed, equal to its query');

-- From 18 on there are virtual ones, and nothing publishes those.
SELECT current_setting('server_version_num')::int >= 180000 AS has_virtual \gset
\if :has_virtual
CREATE TABLE thin (id int PRIMARY KEY, price int, doubled int GENERATED ALWAYS AS (price * 2));
INSERT INTO thin (id, price) SELECT i, i % 7 FROM generate_series(1, 50) AS i;
SELECT is(refusal('SELECT id, doubled FROM thin'), 'generated column "doubled" of table public.thin is not in the stream of changes', 'a virtual column');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('ids', 'SELECT id % 10 AS digit, count(*) FROM thin GROUP BY id % 10') $$, 'beside it, by the key');
SELECT fill('ids', 7), watch('thin') \g /dev/null
UPDATE thin SET price = price + 1, id = id + 1000 WHERE id % 3 = 0;
DELETE FROM thin WHERE id % 5 = 0;
SELECT sync('ids') \g /dev/null
SELECT is(differences('ids'), '', 'changed, equal to its query');
SET client_min_messages = warning;
ALTER TABLE thin REPLICA IDENTITY FULL;
SELECT is(refusal('SELECT price, count(*) FROM thin GROUP BY price'), 'UPDATE and DELETE on table public.thin would fail: column "doubled" is virtual',
          'but not with whole old rows, where writers would fail');
\else
SELECT skip('virtual columns come with PostgreSQL 18', 4);
\endif
SELECT * FROM finish();
ROLLBACK;
