\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SET intervalstyle = postgres;
SELECT plan(51);
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', 's', 1, 'x', 'anabranch', 1, '0/2');
CREATE TABLE fact (id int PRIMARY KEY, part text, amount numeric, span interval, cash money, n bigint, yes boolean);
CREATE TABLE other (id int PRIMARY KEY, part text, amount numeric);
INSERT INTO fact SELECT i, CASE WHEN i % 7 > 0 THEN 'p' || i % 7 END, (i % 5) + 0.50 * (i % 3), make_interval(months => i % 4, days => i % 9), (i % 11)::money, i, i % 2 = 0
  FROM generate_series(1, 200) AS i;
INSERT INTO fact VALUES (1001, 'special', 'NaN', '1 mon', '1', 3, NULL), (1002, 'special', 'Infinity', '30 days', '2', NULL, true), (1003, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO other SELECT i, 'p' || i % 3, i FROM generate_series(1, 20) AS i;

CREATE TABLE definitions (name text, query text);
INSERT INTO definitions VALUES
  ('sums', 'SELECT part, count(*) AS rows, sum(amount) AS amount, avg(amount) AS mean, sum(span) AS span, sum(cash) AS cash, sum(n) AS n, bool_and(yes) AS yes, stddev(n) AS spread FROM fact GROUP BY part'),
  ('whole', 'SELECT count(*) AS rows, sum(n) AS n FROM fact WHERE n > 3'),
  ('united', 'SELECT part, sum(amount) AS amount FROM (SELECT part, amount FROM fact UNION ALL SELECT part, amount FROM other) AS u GROUP BY part HAVING sum(amount) > 10'),
  ('keyed', 'SELECT id, part, amount, span FROM fact WHERE n % 2 = 0'),
  ('keyed_twice', 'SELECT part, amount FROM fact UNION ALL SELECT part, amount FROM other');
SELECT count(anabranch.create_aggregate_table(name, query, true)) AS ignore FROM definitions \gset
CREATE TABLE loose (part text, amount numeric);
ALTER TABLE loose REPLICA IDENTITY FULL;
INSERT INTO loose SELECT 'p' || i % 3, i % 4 FROM generate_series(1, 40) AS i;
INSERT INTO definitions VALUES ('images', 'SELECT part, amount FROM loose WHERE amount > 0');
SELECT count(anabranch.create_aggregate_table(name, query, true)) AS ignore FROM definitions WHERE name = 'images' \gset
SELECT count(watch(t::regclass)) AS ignore FROM unnest('{fact,other,loose}'::text[]) AS t \gset
SELECT count(fill(name::regclass)) AS ignore FROM definitions \gset

CREATE FUNCTION found(copy text, delta bytea DEFAULT '', keys jsonb DEFAULT NULL, buckets int DEFAULT 0) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(class || ' ' || key, ', ' ORDER BY class, key::text COLLATE "C") FILTER (WHERE class IS NOT NULL), 'nothing')
    || ' of ' || max(compared) FROM anabranch.prove(copy::regclass, delta, NULL, keys, buckets, 1000)
$$;
SELECT is(found(name), 'nothing of ' || n, format('%s: nothing differs where nothing was done', name))
FROM (VALUES ('sums', 8), ('whole', 1), ('united', 9), ('keyed', 100), ('keyed_twice', 223), ('images', 9)) AS expected (name, n) WHERE true ORDER BY name;

-- Changes that the copy does not have yet are not taken for differences, and none hides behind them.
UPDATE fact SET part = 'p9', amount = amount + 1 WHERE id < 20;
DELETE FROM fact WHERE id BETWEEN 30 AND 40;
INSERT INTO fact VALUES (2001, 'new', 1.5, '1 day', 3, 4, true), (2002, NULL, 2, NULL, NULL, 8, NULL);
UPDATE fact SET id = id + 5000 WHERE id BETWEEN 50 AND 55;
DELETE FROM loose WHERE amount = 2;
INSERT INTO loose VALUES ('p1', 3), ('q', 9);
CREATE FUNCTION lag(name text) RETURNS bytea LANGUAGE sql AS $$
  SELECT coalesce(CASE WHEN d.class = 'rows' AND s.key <> '{}' THEN key_delta(d.copy, y.number) ELSE image_delta(d.copy, y.number) END, '')
  FROM anabranch.definition AS d JOIN anabranch.definition_source AS s ON s.copy = d.copy AND s.ordinal = 1 JOIN synced AS y ON y.copy = d.copy
  WHERE d.copy = name::regclass
$$;
SELECT isnt(found(name), (SELECT 'nothing of ' || split_part(found(name), ' of ', 2)), format('%s: without the changes it would differ', name)) FROM definitions ORDER BY name;
SELECT is(split_part(found(name, lag(name)), ' of ', 1), 'nothing', format('%s: with them nothing differs', name)) FROM definitions ORDER BY name;
SELECT is(split_part(found(name, lag(name), buckets => 16), ' of ', 1), 'nothing', format('%s: by sums neither', name)) FROM definitions ORDER BY name;

-- Damage, in groups that the changes touch as well.
UPDATE anabranch_data.sums SET anabranch_rows = anabranch_rows + 1 WHERE part = 'p1';
UPDATE anabranch_data.sums SET anabranch_s2 = anabranch_s2 - interval '1 mon' + interval '30 days' WHERE part = 'p9' OR part = 'p2';
DELETE FROM anabranch_data.sums WHERE part = 'p3';
INSERT INTO anabranch_data.sums SELECT (jsonb_populate_record(s, '{"part": "nowhere"}')).* FROM anabranch_data.sums AS s WHERE part = 'p4';
INSERT INTO anabranch_data.sums SELECT * FROM anabranch_data.sums WHERE part = 'p5';
SELECT is(split_part(found('sums', lag('sums')), ' of ', 1),
  'duplicate {"part": "p5"}, extra {"part": "nowhere"}, missing {"part": "p3"}, wrong {"part": "p1"}, wrong {"part": "p2"}', 'groups: each fault by its class');
SELECT is(split_part(found('sums', lag('sums'), buckets => 64), ' of ', 1),
  'duplicate {"part": "p5"}, extra {"part": "nowhere"}, missing {"part": "p3"}, wrong {"part": "p1"}', 'sums find what changes them: one interval for another of 30 days they do not');
SELECT is(found('sums', lag('sums'), '["p1", "p4", null]'), 'wrong {"part": "p1"} of 3', 'by values of the only key');
SELECT is(found('sums', lag('sums'), '[{"part": "p3"}, {"part": "no such"}]'), 'missing {"part": "p3"} of 1', 'by objects');
DELETE FROM anabranch_data.keyed WHERE id = 100;
UPDATE anabranch_data.keyed SET amount = amount + 1 WHERE id = 102;
UPDATE anabranch_data.keyed SET amount = amount + 1 WHERE id = 10;
INSERT INTO anabranch_data.keyed SELECT id, part, amount, span, '\x0801' FROM anabranch_data.keyed WHERE id = 104;
SELECT is((SELECT string_agg(class || ' ' || coalesce(expected, actual)::text, ', ' ORDER BY class) FROM anabranch.prove('keyed'::regclass, lag('keyed'), NULL, NULL, 0, 10) WHERE class IS NOT NULL),
  (SELECT string_agg(class || ' ' || to_jsonb(f), ', ' ORDER BY class) FROM (VALUES ('extra', 104), ('missing', 100), ('wrong', 102)) AS e (class, id)
   JOIN LATERAL (SELECT id, part, amount, span FROM fact WHERE fact.id = e.id) AS f ON true), 'rows: each fault, and not the row that the stream is about to write');
UPDATE anabranch_data.images SET anabranch_rows = anabranch_rows + 2 WHERE part = 'q' OR part = 'p1';
SELECT matches(found('images', lag('images')), '^(wrong [^,]*, ){2}wrong [^,]* of', 'rows without a key: by how often they are there');
UPDATE anabranch_data.whole SET anabranch_s1 = 0;
SELECT is((SELECT (class, expected, actual)::text FROM anabranch.prove('whole'::regclass, lag('whole'), NULL, NULL, 0, 10) WHERE class IS NOT NULL),
  (SELECT ('wrong', to_jsonb(w) || jsonb_build_object('n', 20094), to_jsonb(w))::text FROM whole AS w), 'without groups: the one row, as the copy shows it');
SELECT is((SELECT count(*) FROM anabranch.prove('keyed'::regclass, lag('keyed'), NULL, NULL, 0, 1)), 2::bigint, 'as many as asked for, and the counts');
SELECT is((SELECT differing FROM anabranch.prove('keyed'::regclass, lag('keyed'), NULL, NULL, 0, 1) WHERE class IS NULL), 3::bigint, 'which are of all');

-- Corrections.
DELETE FROM anabranch_data.sums WHERE ctid = (SELECT max(ctid) FROM anabranch_data.sums WHERE part = 'p5');
INSERT INTO anabranch.verification (copy, definition, mode, repairs, duty, requested_by) SELECT d.copy, d.id, 'full', true, 1, '' FROM anabranch.definition AS d;
CREATE FUNCTION run_of(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT v.run FROM anabranch.verification AS v WHERE v.copy = name::regclass $$;
CREATE TABLE seen AS SELECT name, lag(name) AS delta FROM definitions;
SELECT is((SELECT string_agg(name || ' ' || r.differing, ', ' ORDER BY name) FROM seen, anabranch.record_proof(run_of(name), delta, NULL, 0, 100) AS r WHERE r.differing > 0),
  'images 3, keyed 3, sums 4, whole 1', 'differences are recorded');
SELECT is((SELECT count(*) FROM anabranch.differences), 11::bigint, 'and shown');
UPDATE fact SET amount = 77 WHERE id = 102;
UPDATE fact SET part = 'p1' WHERE id = 110;
CREATE TABLE since AS SELECT name, lag(name) AS delta FROM definitions;
SELECT is((SELECT string_agg(name || ' ' || r.repaired || ' ' || r.overwritten, ', ' ORDER BY name) FROM since, anabranch.record_correction(run_of(name), '0/2', delta) AS r),
  'images 3 0, keyed 2 1, keyed_twice 0 0, sums 4 0, united 0 0, whole 1 0', 'and repaired, but for the row that was written since');
SELECT is(split_part(found(name, lag(name)), ' of ', 1), 'nothing', format('%s: nothing differs any more', name)) FROM definitions ORDER BY name;
SELECT count(sync(name::regclass)) AS ignore FROM definitions \gset
SELECT is(split_part(found(name), ' of ', 1), 'nothing', format('%s: nor once the changes are in', name)) FROM definitions ORDER BY name;
SELECT throws_ok($$SELECT found('sums', keys => '{"part": 1}')$$, '22023', 'keys are not a list', 'keys are a list');
SELECT throws_ok($$SELECT found('sums', keys => '[{"amount": 1}]')$$, '22023', NULL, 'of columns that rows are found by');
SELECT throws_ok($$SELECT found('keyed', keys => '[1]')$$, '22023', NULL, 'values alone need one group column');
SELECT * FROM finish();
ROLLBACK;
