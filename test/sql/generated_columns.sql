\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(6);

-- From 18 on a generated column need not be stored, and is not where nothing is said. Both kinds are left out of the stream.
SELECT CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END AS kind \gset
CREATE TABLE item (id int PRIMARY KEY, price int, doubled int GENERATED ALWAYS AS (price * 2) :kind, note text);
ALTER TABLE item REPLICA IDENTITY FULL;
INSERT INTO item (id, price, note) SELECT i, i % 7, 'n' || i FROM generate_series(1, 50) AS i;
CREATE VIEW item_view AS SELECT id, doubled FROM item;

SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('refused', 'SELECT doubled, count(*) FROM item GROUP BY doubled') $$, '0A000',
                 'generated column "doubled" of table public.item is not in the stream of changes', 'a definition cannot read it');
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('refused', 'SELECT count(*) FROM item WHERE doubled > 3') $$, '0A000',
                 'generated column "doubled" of table public.item is not in the stream of changes', 'nor ask it which rows to take');
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('refused', 'SELECT sum(doubled) FROM item_view') $$, '0A000',
                 'generated column "doubled" of table public.item is not in the stream of changes', 'nor through a view');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('prices', 'SELECT price * 2 AS doubled, count(*), count(note) AS notes FROM item GROUP BY price') $$,
                'but its expression');
SELECT fill('prices', 7) \g /dev/null
SELECT is(differences('prices'), '', 'filled, equal to its query');
SELECT watch('item') \g /dev/null
UPDATE item SET price = price + 1 WHERE id % 3 = 0;
INSERT INTO item (id, price) VALUES (100, 1), (101, NULL);
DELETE FROM item WHERE id % 5 = 0;
SELECT sync('prices') \g /dev/null
SELECT is(differences('prices'), '', 'changed, equal to its query');
SELECT * FROM finish();
ROLLBACK;
