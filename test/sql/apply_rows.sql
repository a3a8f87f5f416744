\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(16);

-- Copies without aggregates: rows under another key, a part of them, several tables as one.
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, amount numeric, placed timestamp, open boolean);
CREATE TABLE archive (number bigint PRIMARY KEY, customer int, amount numeric);
ALTER TABLE orders REPLICA IDENTITY FULL;
ALTER TABLE archive REPLICA IDENTITY FULL;
CREATE TABLE lines (text text, n int);  -- no key at all
ALTER TABLE lines REPLICA IDENTITY FULL;

CREATE FUNCTION touch(number int) RETURNS void LANGUAGE sql AS $$
  DELETE FROM orders WHERE random() < 0.2;
  INSERT INTO orders SELECT number * 100 + i, (random() * 5)::int, round((random() * 100)::numeric, 2), '2026-01-01'::timestamp + i * interval '1 h', random() < 0.5
  FROM generate_series(1, 40) AS i;
  UPDATE orders SET open = NOT open WHERE random() < 0.2;
  UPDATE orders SET id = id + 1000000 WHERE random() < 0.1;
  UPDATE orders SET amount = NULL WHERE random() < 0.1;
  DELETE FROM archive WHERE random() < 0.2;
  INSERT INTO archive SELECT id, customer, amount FROM orders WHERE random() < 0.2 ON CONFLICT DO NOTHING;
  UPDATE archive SET customer = customer + 1 WHERE random() < 0.2;
  INSERT INTO lines SELECT 'line ' || (random() * 4)::int, nullif((random() * 3)::int, 0) FROM generate_series(1, 20);
  INSERT INTO lines SELECT repeat('long ', 400) || (random() * 3)::int, 1 FROM generate_series(1, 5);
  DELETE FROM lines WHERE ctid IN (SELECT ctid FROM lines ORDER BY random() LIMIT 10);
$$;
SELECT touch(0) \g /dev/null

SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('orders_of_customer', 'SELECT customer, id, amount * 2 AS twice, placed FROM orders') $$,
                'rows of one table');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('open_orders', 'SELECT * FROM orders WHERE open AND 100 / nullif(customer, 0) > 1') $$,
                'rows that a condition holds for');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('sales',
  'SELECT ''order'' AS source, id::bigint AS id, customer, amount FROM orders UNION ALL
   SELECT ''archive'', number, customer, amount FROM archive WHERE customer <> 2 UNION ALL SELECT ''again'', id, customer, amount FROM orders WHERE open') $$,
                'branches over several tables, one of them twice');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('lines_copy', 'SELECT n, text, upper(text) AS big FROM lines WHERE n IS NOT NULL') $$,
                'rows without a key');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('mixed', 'SELECT text FROM lines UNION ALL SELECT customer::text FROM orders') $$,
                'rows with and without a key in one copy');


CREATE FUNCTION all_differences() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(copy::text || E'\n' || difference, E'\n')
  FROM (SELECT d.copy, differences(d.copy) AS difference FROM anabranch.definition AS d) AS each WHERE difference <> ''
$$;
SELECT fill(copy, 7) FROM anabranch.definition \g /dev/null
SELECT is(all_differences(), NULL, 'filled, all equal their queries');
SELECT isnt_empty('TABLE ' || copy, copy || ' has rows') FROM anabranch.definition ORDER BY copy::text;

SELECT watch(t) FROM unnest(ARRAY['orders', 'archive', 'lines']::regclass[]) AS t \g /dev/null
CREATE FUNCTION rounds() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  FOR number IN 1..4 LOOP
    PERFORM touch(number);
    PERFORM touch(number + 10);
    PERFORM sync(copy) FROM anabranch.definition;
    RETURN NEXT is(all_differences(), NULL, 'changed, all equal their queries');
  END LOOP;
END
$$;
SELECT rounds();
DELETE FROM orders; DELETE FROM archive; DELETE FROM lines;
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is(all_differences(), NULL, 'and are empty in the end');
SELECT * FROM finish();
ROLLBACK;
