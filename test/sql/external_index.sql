\set ECHO none
\i test/fixture/start.sql
SELECT plan(79);
CREATE ROLE operator IN ROLE anabranch_operator;
CREATE ROLE stranger;
GRANT CREATE ON SCHEMA public TO operator;
CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric, note text, tags text[], facts jsonb);
ALTER TABLE orders REPLICA IDENTITY FULL;
ALTER TABLE orders OWNER TO operator;
CREATE FUNCTION refusal(query text, key text[], options jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM anabranch.create_index('refused', 'engine', query, key, options);
  RAISE EXCEPTION 'accepted';  -- and undone
EXCEPTION WHEN OTHERS THEN
  RETURN sqlerrm;
END
$$;

-- What a key may be.
SELECT is(refusal('SELECT customer, sum(total) AS total FROM orders GROUP BY customer', '{total}'), 'column "total" cannot be part of the key', 'an aggregate is no key');
SELECT is(refusal('SELECT customer, sum(total) AS total FROM orders GROUP BY customer', '{nobody}'), 'column "nobody" of the key does not exist', 'nor is what is not there');
SELECT is(refusal('SELECT upper(customer) AS c, sum(total) FROM orders GROUP BY customer', '{c}'), 'column "c" cannot be part of the key', 'nor an expression over a group');
SELECT is(refusal('SELECT upper(customer) AS c, sum(total) FROM orders GROUP BY upper(customer)', '{c}'), 'accepted', 'but an expression that is a group');
SELECT is(refusal('SELECT customer, note, count(*) FROM orders GROUP BY customer, note', '{customer}'), 'the key is not unique in the query', 'a key names every group');
SELECT is(refusal('SELECT customer, count(*) FROM orders GROUP BY customer, note', '{customer}'), 'the key is not unique in the query', 'also one that is not shown');
SELECT is(refusal('SELECT id, customer FROM orders', '{id,id}'), 'column "id" of the key is named twice', 'each once');
SELECT is(refusal('SELECT id, customer FROM orders', ARRAY['id', NULL]), 'a column of the key must not be null', 'and none is NULL');
SELECT is(refusal('SELECT id AS anabranch_id FROM orders', '{anabranch_id}'), 'column "anabranch_id" of an index has a name that anabranch uses', 'names of ours are ours');
SELECT is(refusal('SELECT k AS key, n FROM (SELECT customer AS k, count(*) AS n FROM orders GROUP BY customer) AS s', '{key}'), 'accepted', 'a group is found through a subquery');
SELECT is(refusal('SELECT count(*) AS n FROM orders', '{}'), 'accepted', 'what is one row needs no key');
SELECT is(refusal('SELECT id, customer FROM orders', '{{id,customer}}'), 'the key is a list of lists', 'it is one list');
SELECT is(refusal('SELECT id, customer FROM orders', '[0:1]={id,customer}'), 'accepted', 'however it is numbered');
SELECT is(refusal('SELECT id, tags FROM orders', '{tags}'), 'column "tags" of the key is an array, a row or JSON', 'an array does not come back from JSON as it was');
SELECT is(refusal('SELECT id, facts FROM orders', '{id,facts}'), 'column "facts" of the key is an array, a row or JSON', 'nor does the null of jsonb');

-- What options may be.
SELECT is(refusal('SELECT id FROM orders', '{id}', options), problem, options::text)
FROM (VALUES
  ('{"shape": "tree"}'::jsonb, 'shape "tree" is unknown'),
  ('{"colour": "red"}', 'option "colour" is unknown'),
  ('{"mapping": 1}', 'option "mapping" is of the wrong type'),
  ('{"ttl": 0}', 'ttl 0 is out of range'),
  ('{"shape": "set", "member": "id", "ttl": 9}', 'shape "set" and option ttl do not go together'),
  ('{"shape": "set"}', 'shape "set" and option member do not go together'),
  ('{"shape": "sorted_set", "member": "id"}', 'shape "sorted_set" and option score do not go together'),
  ('{"shape": "sorted_set", "member": "id", "score": "nothing"}', 'column "nothing" of option score does not exist'),
  ('{"shape": "set", "member": "nothing"}', 'column "nothing" of option member is not one of the key'),
  ('{"key": "order:{nothing}"}', 'column "nothing" of option key is not one of the key'),
  ('{"key": "order"}', 'key pattern "order" does not have column "id"'),
  ('{"key": "order:{id"}', 'key pattern "order:{id" cannot be read from "{id" on'),
  ('{"key": "anabranch:{id}"}', 'key pattern "anabranch:{id}" begins as the keys do that an index has for itself'),
  ('{"key": "{{tag}}anabranch:{id}"}', 'key pattern "{{tag}}anabranch:{id}" begins as the keys do that an index has for itself'),
  ('[]', 'options are no JSON object'),
  ('"shape"', 'options are no JSON object'),
  ('{"ttl": 1.5}', 'ttl 1.5 is out of range'),
  ('{"mapping": {"id": 5}}', 'option "mapping" has no JSON object for "id"'),
  ('{"mapping": {}, "shape": "hash"}', 'option "shape" is for Redis, and does not go with "mapping" or "settings"'),
  ('{"index": ""}', 'option "index" is empty, or "slot" has a brace in it'),
  ('{"slot": "a}b"}', 'option "index" is empty, or "slot" has a brace in it')) AS refused (options, problem);
SELECT throws_ok($$SELECT anabranch.create_index('x', 'http://somewhere', 'SELECT id FROM orders', '{id}')$$, '22023',
  'engine "http://somewhere" is no name of a section', 'an address is no engine');
SELECT is(refusal('SELECT id, customer FROM orders', '{id}', '{"shape": "sorted_set", "member": "id", "score": "customer"}'), 'column "customer" of option score is no number',
  'a score is a number');
SELECT is(refusal('SELECT id, customer FROM orders', '{id,customer}', '{"key": "o:{id}{customer}"}'), 'key pattern "o:{id}{customer}" has nothing behind column "id" that would end it',
  'values of two columns are told apart');
SET ROLE stranger;
SELECT throws_ok($$SELECT anabranch.create_index('x', 'engine', 'SELECT id FROM orders', '{id}')$$, '42501', NULL, 'a stranger creates none');
RESET ROLE;

CREATE FUNCTION pending_of(index regclass) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT number FROM %s', (SELECT x.pending FROM anabranch.external_index AS x WHERE x.copy = index));
END
$$;

-- What is kept, and what it is made of.
SET ROLE operator;
SELECT anabranch.create_index('top', 'engine', 'SELECT customer, id, total FROM orders', '{customer,id}',
  '{"shape": "sorted_set", "key": "top:{{{customer}}}", "member": "id", "score": "total"}') IS NULL AS ignore \gset
SELECT anabranch.create_index('docs', 'engine', 'SELECT customer, id, note, tags, facts FROM orders', '{customer,id}') IS NULL AS ignore \gset
SELECT anabranch.create_index('per_customer', 'engine', 'SELECT customer, count(*) AS orders, sum(total) AS total FROM orders GROUP BY customer', '{customer}',
  '{"shape": "hash"}') IS NULL AS ignore \gset
SELECT anabranch.create_index('by_total', 'engine', 'SELECT total, id, note FROM orders', '{total}') IS NULL AS ignore \gset
SELECT anabranch.create_index('counted', 'engine', 'SELECT count(*) AS n FROM orders', '{}') IS NULL AS ignore \gset
SELECT anabranch.create_index('odd', 'engine', 'SELECT total::float8 AS f, note, note::json AS j FROM orders', '{f,note}', '{"key": "odd:{note}:{f}"}') IS NULL AS ignore \gset
SELECT throws_ok('TABLE anabranch.index_progress', '42501', NULL, 'nobody reads what is kept of it');
RESET ROLE;
SELECT is(refusal('SELECT note, id FROM orders', '{note}', '{"key": "top:{{{note}}}"}'), 'index public.top has the same key pattern', 'keys are one index''s');
SELECT is(refusal('SELECT customer, id FROM orders', '{customer,id}', '{"key": "docs:{id}:{customer}"}'), 'index public.docs has the same key pattern',
  'the keys of an index without a pattern, too');
SELECT throws_ok($$SELECT anabranch.alter_index('docs', options => '{"slot": "a"}')$$, '22023', 'an index keeps its name and its slot',
  'what is kept about the documents stays where it is');
SELECT is((SELECT class FROM anabranch.definition WHERE copy = 'docs'::regclass), 'rows', 'an index is a copy like any other');
SELECT is_empty($$SELECT a.attrelid::regclass, a.attname FROM anabranch.external_index AS x JOIN pg_attribute AS a ON a.attrelid = x.pending
                  WHERE a.attnum > 1 AND a.attstattarget IS DISTINCT FROM 0$$, 'no statistics are made of keys, by whatever function their types have for that');
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', '1', 3, 's', 'anabranch', 7, '0/800');
UPDATE anabranch.progress SET state = 'live', lsn = '0/1000';
SELECT count(anabranch.replace_view(copy, shown_view)) AS ignore FROM anabranch.definition WHERE copy IN (SELECT x.copy FROM anabranch.external_index AS x) \gset
SELECT throws_ok($$SELECT anabranch.begin_deliveries('docs'::regclass, 6)$$, 'AN001', NULL, 'who was replaced delivers nothing');
SELECT count(anabranch.begin_deliveries(copy, 7)) AS ignore FROM anabranch.external_index \gset
INSERT INTO anabranch_data.docs (customer, id, note, tags, facts, anabranch_key) VALUES
  (E'a/\\b', 1, 'first', '{x,"y z"}', '{"n": 1.50}', 'k1'), (NULL, 2, NULL, NULL, NULL, 'k2'), ('twice', 3, 'one', '{}', '[1]', 'k3'), ('twice', 3, 'other', '{}', '[1]', 'k4');
UPDATE anabranch_data.docs SET customer = 'moved' WHERE anabranch_key = 'k1';
SELECT bag_eq($$SELECT key, id, content, rows FROM anabranch.changed_documents('docs'::regclass, 0, 1000000, 100000)$$, $$VALUES
  ('{"id": 1, "customer": "a/\\b"}', 'a\/\\b/1', NULL, 1::bigint),
  ('{"id": 1, "customer": "moved"}', 'moved/1', '{"id": 1, "note": "first", "tags": ["x", "y z"], "facts": {"n": 1.50}, "customer": "moved"}', 1),
  ('{"id": 2, "customer": null}', NULL, NULL, 1),
  ('{"id": 3, "customer": "twice"}', 'twice/3', '{"id": 3, "note": "one", "tags": [], "facts": [1], "customer": "twice"}', 2)$$,
  'documents of pending keys: the one that is gone, the one that has moved, one without a key and two of one key');
SELECT throws_ok($$SELECT * FROM anabranch.changed_documents('docs'::regclass, 0, 1000000, 10)$$, '54000', NULL, 'more bytes than wanted are not read');
SELECT is_empty($$SELECT * FROM anabranch.keyed_documents('docs'::regclass, '[{"customer": "a", "id": "no number"}]', 1000)$$, 'a key that cannot be is nobody''s');
SELECT results_eq($$SELECT id FROM anabranch.keyed_documents('docs'::regclass, '[{"customer": "a", "id": "no number"}, {"customer": "moved", "id": 1}]', 1000)$$, $$VALUES ('moved/1')$$,
  'and keeps no other from being read');
CREATE FUNCTION seen(numeric) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$;
CREATE DOMAIN watched AS numeric CHECK (seen(VALUE));
CREATE VIEW with_domain AS SELECT 1 AS id, NULL::numeric AS n WHERE false;
CREATE VIEW with_watched AS SELECT 1 AS id, CASE WHEN false THEN 1::watched END AS n WHERE false;
SELECT is(anabranch.possible_keys('with_watched'::regclass, '[{"id": 1, "n": 2}]'), '[{"id": 1, "n": 2}]', 'what a user has written for a type is not run with our rights');
SELECT is(anabranch.possible_keys('with_domain'::regclass, '[{"id": 1, "n": "x"}]'), '[]', 'what the server has for its own is');
INSERT INTO anabranch_data.odd (f, note, j, anabranch_key) VALUES ('-0', E'a:\\b', E'  "a\\u0000b"\n', 'k1');
SELECT results_eq($$SELECT key, target, content FROM anabranch.next_documents('odd'::regclass, NULL, 10, 1000)$$,
  $$VALUES ('{"f": "-0", "note": "a:\\b"}', 'odd:a\:\\b:-0', '{"f": 0, "j": "a\u0000b" , "note": "a:\\b"}')$$, 'a negative zero, a character that jsonb does not have, and a value like two');
SELECT results_eq($$SELECT target, content IS NULL FROM anabranch.keyed_documents('odd'::regclass, '[{"f": "-0", "note": "a:\\b"}]', 1000)$$, $$VALUES ('odd:a\:\\b:-0', false)$$,
  'which is found by its key');
SELECT results_eq($$SELECT key FROM anabranch.keyless_documents('docs'::regclass, 10, 1000)$$, $$VALUES ('{"id": 2, "customer": null}')$$, 'documents without a key are found');
SELECT results_eq($$SELECT id FROM anabranch.next_documents('docs'::regclass, '{"customer": "moved", "id": 1}', 10, 1000)$$, $$VALUES ('twice/3')$$, 'documents behind a key');
SELECT results_eq($$SELECT id, rows FROM anabranch.next_documents('docs'::regclass, NULL, 1, 1000)$$, $$VALUES ('moved/1', 1::bigint)$$,
  'of the row behind as many as are wanted nothing is said, as others may follow it');
SELECT results_eq($$SELECT id, rows FROM anabranch.next_documents('docs'::regclass, '{"customer": "moved", "id": 1}', 1, 1000)$$, $$VALUES ('twice/3', 2::bigint)$$,
  'but what has more rows than are wanted is not looked for forever');
SELECT is_empty($$SELECT id FROM anabranch.next_documents('docs'::regclass, '{"customer": "twice", "id": 3}', 1, 1000)$$, 'behind the last key there is none');
INSERT INTO anabranch_data.top (customer, id, total, anabranch_key) VALUES ('c', 1, 2.50, 'k1');
SELECT results_eq($$SELECT target, member, content FROM anabranch.changed_documents('top'::regclass, 0, 1000000, 1000)$$, $$VALUES ('top:{c}', '1', '2.50')$$,
  'a member of a sorted set, under a key whose braces are doubled');
SELECT results_eq($$SELECT target, content FROM anabranch.keyed_documents('per_customer'::regclass, '[{"customer": "c"}]', 1000)$$, $$VALUES ('per_customer:c', NULL)$$,
  'what the copy does not have is a document that is not there');
INSERT INTO anabranch_data.by_total (total, id, note, anabranch_key) VALUES (1.0, 1, 'one', 'k1'), (2, 2, 'two', 'k2'), (2.0, 3, 'another', 'k3'), (2, 4, 'two again', 'k4');
SELECT anabranch.trim_pending('by_total'::regclass, 7, 0, 0) IS NULL AS ignore \gset
UPDATE anabranch_data.by_total SET total = 1.00 WHERE id = 1;
SELECT bag_eq($$SELECT key, content IS NULL, rows FROM anabranch.changed_documents('by_total'::regclass, 0, 1000000, 1000)$$,
  $$VALUES ('{"total": 1.0}', true, 1::bigint), ('{"total": 1.00}', false, 1)$$, 'what is equal but has another text is another document: the former is gone');
SELECT results_eq($$SELECT key, rows FROM anabranch.next_documents('by_total'::regclass, NULL, 10, 1000)$$,
  $$VALUES ('{"total": 1.00}', 1::bigint), ('{"total": 2}', 2), ('{"total": 2.0}', 1)$$, 'in order, those of one text follow each other');
SELECT results_eq($$SELECT key, rows FROM anabranch.next_documents('by_total'::regclass, '{"total": 2}', 10, 1000)$$, $$VALUES ('{"total": 2.0}', 1::bigint)$$,
  'so none is passed over');
UPDATE anabranch_data.docs SET note = 'third' WHERE anabranch_key = 'k3';
SELECT is((SELECT count(*) FROM pending_of('docs')), 4 + 2 + 1::bigint, 'a change that leaves the key as it was is noted once');
INSERT INTO anabranch_data.counted (anabranch_rows) VALUES (0);
SELECT results_eq($$SELECT key, content FROM anabranch.next_documents('counted'::regclass, NULL, 10, 1000)$$, $$VALUES ('{}', '{"n": 0}')$$, 'one document of no key');
SELECT is_empty($$SELECT key FROM anabranch.next_documents('counted'::regclass, '{}', 10, 1000)$$, 'and none behind it');
SELECT is(anabranch.trim_pending('docs'::regclass, 7, 0, 7), 0::bigint, 'as many may wait as are worth keeping');
SELECT results_eq($$SELECT filled, (SELECT count(*) FROM pending_of('docs')) FROM anabranch.index_progress WHERE copy = 'docs'::regclass$$, $$VALUES (0, 7::bigint)$$, 'and are kept');
UPDATE anabranch.index_progress SET filled = 1 WHERE copy = 'docs'::regclass;
SELECT is(anabranch.trim_pending('docs'::regclass, 7, 0, 6), 0::bigint, 'of one more none is kept');
SELECT results_eq($$SELECT filled, (SELECT count(*) FROM pending_of('docs')) FROM anabranch.index_progress WHERE copy = 'docs'::regclass$$, $$VALUES (0, 0::bigint)$$,
  'and the index is filled anew');
UPDATE anabranch.index_progress SET filled = 1 WHERE copy = 'docs'::regclass;
TRUNCATE anabranch_data.docs;
SELECT is((SELECT filled FROM anabranch.index_progress WHERE copy = 'docs'::regclass), 0, 'what was emptied is filled anew');

SET ROLE stranger;
SELECT throws_ok($$SELECT anabranch.drop_index('docs')$$, '42501', NULL, 'a stranger drops none');
RESET ROLE;
SELECT throws_ok($$SELECT anabranch.alter_index('docs')$$, '22023', 'either a query or options are to be given', 'an alteration alters something');
SELECT throws_ok($$SELECT anabranch.alter_index('top', 'SELECT customer, id FROM orders')$$, '42703', 'column "total" of option score does not exist', 'and fits the options');
UPDATE anabranch.index_progress SET identity = '1/x' WHERE copy = 'docs'::regclass;
SELECT anabranch.drop_index('docs') IS NULL AS ignore \gset
SELECT results_eq($$SELECT name, engine FROM anabranch.dropped_index$$, $$VALUES ('docs', 'engine')$$, 'what is dropped is still to be removed from its engine');
SELECT is(refusal('SELECT customer, id FROM orders', '{customer,id}', '{"key": "docs:{customer}:{id}"}'), 'keys of this pattern are still being removed, of the dropped index "docs"',
  'and until then no other index has such keys');
SELECT isnt(anabranch.create_index('docs', 'engine', 'SELECT customer, id FROM orders', '{customer,id}', '{"key": "docs:{customer}:{id}"}'), NULL,
  'but one of its name, which waits for that at the engine');
SELECT * FROM finish();
ROLLBACK;
