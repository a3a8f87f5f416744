-- Prepared transactions arrive whole at COMMIT PREPARED, and not at all after ROLLBACK PREPARED.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(5);
CREATE TABLE item (id int PRIMARY KEY);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();
SELECT CASE WHEN current_setting('max_prepared_transactions')::int = 0 THEN 0 ELSE 1 END AS can_prepare \gset
\if :can_prepare
BEGIN;
INSERT INTO item VALUES (1);
ALTER TABLE item ADD COLUMN v text;
INSERT INTO item VALUES (2, 'x');
PREPARE TRANSACTION 'decoder-1';
SELECT is_empty('SELECT pg_temp.records()', 'PREPARE tells nothing');
BEGIN;
SELECT 1 FROM pg_logical_emit_message(true, 'test', 'meanwhile') \g /dev/null
COMMIT;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['message transactional test meanwhile'], 'others pass it by');
COMMIT PREPARED 'decoder-1';
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.item default id*:1:int4', 'insert public.item -> {"id": 1}',
  'relation public.item default id*:1:int4 v:2:text', 'insert public.item -> {"v": "x", "id": 2}'], 'COMMIT PREPARED tells it whole');
BEGIN;
INSERT INTO item VALUES (3);
PREPARE TRANSACTION 'decoder-2';
ROLLBACK PREPARED 'decoder-2';
SELECT is_empty('SELECT pg_temp.records()', 'ROLLBACK PREPARED tells nothing');
-- A slot made for two-phase decoding is read in the same way: the plugin has no part in it.
SELECT pg_temp.close();
SELECT 1 FROM pg_create_logical_replication_slot('decoder', 'anabranch_decoder', false, true) \g /dev/null
BEGIN;
INSERT INTO item VALUES (4);
PREPARE TRANSACTION 'decoder-3';
SELECT count(*) AS early FROM pg_temp.records() \gset
COMMIT PREPARED 'decoder-3';
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['insert public.item -> {"id": 4}'], 'a slot with two_phase: whole at COMMIT PREPARED as well');
\else
SELECT skip('the server does not allow prepared transactions', 5);
\endif
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item;
