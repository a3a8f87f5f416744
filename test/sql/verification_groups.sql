\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(10);
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', 's', 1, 'x', 'anabranch', 1, '0/2');

-- Groups are matched as GROUP BY does it: NULL is a group, in each of several columns, and of types that cannot be hashed, too.
CREATE TABLE fact (id int PRIMARY KEY, part text COLLATE "C", amount numeric, cash money, yes boolean);
INSERT INTO fact SELECT i, CASE WHEN i % 5 > 0 THEN 'p' || i % 5 END, CASE WHEN i % 4 > 0 THEN round(i % 4, i % 3) END, CASE WHEN i % 6 > 0 THEN (i % 6)::money END,
  CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END FROM generate_series(1, 400) AS i;
CREATE TABLE definitions (name text, query text, groups int);
INSERT INTO definitions VALUES
  ('several', 'SELECT part, yes, count(*) AS n FROM fact GROUP BY part, yes', 15),
  ('numbers', 'SELECT amount, count(*) AS n FROM fact GROUP BY amount', 4),
  ('coins', 'SELECT cash, yes, count(*) AS n FROM fact GROUP BY cash, yes', 6);
SELECT count(anabranch.create_aggregate_table(name, query, true)) AS ignore FROM definitions \gset
SELECT count(watch('fact'::regclass)) AS ignore \gset
SELECT count(fill(name::regclass)) AS ignore FROM definitions \gset
CREATE FUNCTION found(copy text, keys jsonb DEFAULT NULL, buckets int DEFAULT 0) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(class || ' ' || key, ', ' ORDER BY class, key::text COLLATE "C") FILTER (WHERE class IS NOT NULL), 'nothing')
    || ' of ' || max(compared) FROM anabranch.prove(copy::regclass, '', NULL, keys, buckets, 1000)
$$;
SELECT is(found(name), 'nothing of ' || groups, format('%s: nothing differs where nothing was done', name)) FROM definitions ORDER BY name;

UPDATE anabranch_data.several SET anabranch_rows = anabranch_rows + 1 WHERE part IS NULL AND yes OR part = 'p1' AND yes IS NULL OR part = 'p2' AND NOT yes;
DELETE FROM anabranch_data.several WHERE part IS NULL AND yes IS NULL;
INSERT INTO anabranch_data.several SELECT * FROM anabranch_data.several WHERE part = 'p3' AND yes OR part IS NULL AND NOT yes;
INSERT INTO anabranch_data.several SELECT (jsonb_populate_record(s, '{"part": "nowhere", "yes": null}')).* FROM anabranch_data.several AS s WHERE part = 'p4' AND yes;
SELECT is(found('several'), 'duplicate {"yes": false, "part": null}, duplicate {"yes": true, "part": "p3"}, extra {"yes": null, "part": "nowhere"}, '
  'missing {"yes": null, "part": null}, wrong {"yes": false, "part": "p2"}, wrong {"yes": null, "part": "p1"}, wrong {"yes": true, "part": null} of 16',
  'each fault once, with NULL or without');
SELECT is(found('several', keys => '[{"part": null}]'),
  'duplicate {"yes": false, "part": null}, missing {"yes": null, "part": null}, wrong {"yes": true, "part": null} of 3', 'by a key that is NULL');
UPDATE anabranch_data.numbers SET anabranch_rows = anabranch_rows + 1 WHERE amount = 1.0 OR amount IS NULL;
SELECT matches(found('numbers'), '^wrong \{"amount": 1(\.0*)?\}, wrong \{"amount": null\} of 4$', 'keys that are equal are one, however they are written');
UPDATE anabranch_data.coins SET anabranch_rows = anabranch_rows + 1 WHERE cash = 1::money OR cash IS NULL;
SELECT is(found('coins'), 'wrong {"yes": false, "cash": "$1.00"}, wrong {"yes": true, "cash": null} of 6', 'of a type that cannot be hashed');
DELETE FROM anabranch_data.coins;
SELECT matches(found('coins'), '^(missing [^,]*, [^,]*, ){5}missing .* of 6$', 'where nothing is kept');
DELETE FROM fact;
SELECT matches(found('numbers'), '^(extra \{"amount": [123](\.0*)?\}, ){3}extra \{"amount": null\} of 4$', 'where there should be nothing');
SELECT is(found('coins'), 'nothing of 0', 'where neither is');
SELECT * FROM finish();
ROLLBACK;
