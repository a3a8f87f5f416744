\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(4);

-- SQL/JSON: constructors from 16 on, queries from 17 on. What prints a time depends on the session, and is refused as elsewhere.
SELECT current_setting('server_version_num')::int >= 170000 AS has_json \gset
\if :has_json
CREATE TABLE item (id int PRIMARY KEY, doc jsonb, at timestamptz, price int);
ALTER TABLE item REPLICA IDENTITY FULL;
INSERT INTO item SELECT i, jsonb_build_object('kind', i % 3, 'at', now()), now(), i % 7 FROM generate_series(1, 50) AS i;
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('refused', 'SELECT JSON_OBJECT(''at'': at RETURNING jsonb) AS o, count(*) FROM item GROUP BY 1') $$, '0A000',
                 NULL, 'a constructor over a time');
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('refused', 'SELECT JSON_VALUE(doc, ''$.at.timestamp_tz()'' RETURNING timestamptz) AS o, count(*) FROM item GROUP BY 1') $$, '0A000',
                 NULL, 'a query for a time');
SELECT anabranch.create_aggregate_table('kinds', $$ SELECT JSON_OBJECT('price': price RETURNING jsonb) AS o, JSON_VALUE(doc, '$.kind' RETURNING int DEFAULT 0 ON EMPTY) AS kind,
  doc IS JSON OBJECT AS is_object, count(*) FROM item WHERE JSON_EXISTS(doc, '$.kind') GROUP BY 1, 2, 3 $$) \g /dev/null
SELECT fill('kinds', 7), watch('item') \g /dev/null
SELECT is(differences('kinds'), '', 'filled, equal to its query');
UPDATE item SET price = price + 1, doc = doc || '{"kind": 7}' WHERE id % 3 = 0;
UPDATE item SET doc = '[]' WHERE id % 10 = 0;
DELETE FROM item WHERE id % 5 = 1;
SELECT sync('kinds') \g /dev/null
SELECT is(differences('kinds'), '', 'changed, equal to its query');
\else
SELECT skip('all of SQL/JSON comes with PostgreSQL 17', 4);
\endif
SELECT * FROM finish();
ROLLBACK;
