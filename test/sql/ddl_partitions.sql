\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(13);

CREATE TABLE events (id int, day date, n int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01') PARTITION BY HASH (id);
CREATE TABLE events_3_0 PARTITION OF events_3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_3_1 PARTITION OF events_3 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO events SELECT i, '2026-01-01'::date + i, i FROM generate_series(1, 80) AS i;
SELECT define('total', 'events', '{n}', '{id,day}') IS NULL AS ignore \gset

CREATE TABLE events_4 PARTITION OF events FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CREATE TABLE events_5 (LIKE events INCLUDING ALL);
ALTER TABLE events ATTACH PARTITION events_5 FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
ALTER TABLE events DETACH PARTITION events_5;
SELECT is(take_recorded(), 'nothing', 'empty partitions come and go');

INSERT INTO events_5 VALUES (1, '2026-05-05', 1);
ALTER TABLE events ATTACH PARTITION events_5 FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
SELECT is(take_recorded(), 'total: table public.events_5, which holds rows, was attached to public.events', 'one with rows brings them without a change of a row');
ALTER TABLE events DETACH PARTITION events_1;
SELECT is(take_recorded(), 'total: table public.events_1, which holds rows, was detached from public.events', 'or takes them away');
DELETE FROM events_5;
ALTER TABLE events DETACH PARTITION events_5;
SELECT is(take_recorded(), 'nothing', 'rows that were deleted first are gone from the copy already');
ALTER TABLE events_3 DETACH PARTITION events_3_0;
SELECT is(take_recorded(), 'total: table public.events_3_0, which holds rows, was detached from public.events', 'partitions of partitions count');
DROP TABLE events_2;
SELECT is(take_recorded(), 'total: table public.events_2 was dropped from table public.events', 'a dropped partition took its rows along');
DROP TABLE events_3;
SELECT is(take_recorded(), 'total: table public.events_3_1 was dropped from table public.events', 'and so did one below another');
ALTER TABLE events ADD COLUMN more int;
SELECT is(take_recorded(), 'nothing', 'each is told once');

ALTER TABLE events_4 REPLICA IDENTITY FULL;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(take_recorded(), 'nothing', 'a partition may write more of old rows than is needed');
ALTER TABLE events_4 ADD UNIQUE (n, day), ALTER n SET NOT NULL;
ALTER TABLE events_4 REPLICA IDENTITY USING INDEX events_4_n_day_key;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(take_recorded(), 'total: the replica identity of table public.events_4 does not have the columns that the copy needs', 'but not less');
ALTER TABLE events_4 REPLICA IDENTITY DEFAULT;
DROP TABLE events_1, events_5;
SELECT is(take_recorded(), 'nothing', 'tables that are no partitions any more are nobody''s concern');
DROP TABLE events;
SELECT is(take_recorded(), 'total: table public.events was dropped', 'the whole table dropped is told once');
SELECT is((SELECT count(*)::int FROM anabranch.source_leaf), 0, 'and forgotten');
SELECT * FROM finish();
ROLLBACK;
