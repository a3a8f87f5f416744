\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(10);

CREATE TABLE items (id int PRIMARY KEY, code int NOT NULL UNIQUE, n int);
CREATE TABLE logs (id int PRIMARY KEY, n int);
ALTER TABLE logs REPLICA IDENTITY FULL;
SELECT define('keyed', 'items', '{n}', '{id}') IS NULL AS ignore \gset
SELECT define('whole', 'logs', '{n}', '{}', 'full') IS NULL AS ignore \gset

ALTER TABLE items DROP CONSTRAINT items_pkey;
ALTER TABLE items ADD CONSTRAINT items_pkey PRIMARY KEY (id);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(take_recorded(), 'nothing', 'a key may be replaced in one transaction');
SET CONSTRAINTS ALL DEFERRED;

SAVEPOINT before;
ALTER TABLE items DROP CONSTRAINT items_pkey;
SELECT is(take_recorded(), 'nothing', 'a key may be missing for a while');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(take_recorded(), 'keyed: table public.items has lost the key that the copy tells its rows by', 'but not when the transaction ends');
ROLLBACK TO before;
ALTER TABLE items REPLICA IDENTITY USING INDEX items_code_key;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(take_recorded(), 'keyed: the replica identity of table public.items does not have the columns that the copy needs', 'old rows must hold the key');
ALTER TABLE items REPLICA IDENTITY FULL;
SELECT is(take_recorded(), 'nothing', 'whole old rows hold it');
ALTER TABLE items DROP CONSTRAINT items_code_key;
SELECT is(take_recorded(), 'nothing', 'a key that the copy does not use may go');
ALTER TABLE items REPLICA IDENTITY NOTHING;
SELECT is(take_recorded(), 'nothing', 'without any replica identity a published table refuses what could be missed');

ALTER TABLE logs REPLICA IDENTITY DEFAULT;
SELECT is(take_recorded(), 'whole: the replica identity of table public.logs is not FULL; run ALTER TABLE public.logs REPLICA IDENTITY FULL', 'a copy that needs whole old rows must get them');
ALTER TABLE logs REPLICA IDENTITY FULL;
ALTER TABLE logs DROP CONSTRAINT logs_pkey;
SELECT is(take_recorded(), 'nothing', 'and then needs no key');
SELECT is((SELECT count(*)::int FROM anabranch.unsettled), 0, 'nothing is left to be settled');
SELECT * FROM finish();
ROLLBACK;
