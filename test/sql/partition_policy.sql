\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(30);
CREATE ROLE stranger;
CREATE TABLE events (id int, day date, kind text, n int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE events_4 PARTITION OF events FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
INSERT INTO events SELECT i, '2026-01-01'::date + i, 'k' || i % 3, i FROM generate_series(0, 99) AS i;
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', 's', 1, 'x', 'anabranch', 1, '0/2');
CREATE PUBLICATION anabranch FOR TABLE anabranch.ddl WITH (publish_via_partition_root = true);
SELECT anabranch.create_aggregate_table('by_month', 'SELECT extract(month FROM day)::int AS month, count(*) AS c, sum(n) AS n FROM events GROUP BY 1', true) \g /dev/null
SELECT anabranch.create_aggregate_table('by_kind', 'SELECT kind, count(*) AS c FROM events GROUP BY kind', true) \g /dev/null
SELECT anabranch.create_aggregate_table('strict', 'SELECT count(*) AS c FROM events', true) \g /dev/null
SELECT fill(c::regclass) FROM unnest('{by_month,by_kind,strict}'::text[]) AS c \g /dev/null
CREATE FUNCTION states() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(copy || ' ' || state, ', ' ORDER BY copy::text) FROM anabranch.progress $$;
-- What the sidecar does with a record of the stream.
CREATE FUNCTION obey() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  UPDATE anabranch.progress SET state = 'stale', reason = new.reason WHERE copy = ANY (new.stale);
  RETURN NULL;
END
$$;
CREATE TRIGGER obey AFTER INSERT ON anabranch.ddl FOR EACH ROW EXECUTE FUNCTION obey();

SET ROLE stranger;
SELECT throws_ok($$SELECT anabranch.on_partition_removed('by_month', 'keep')$$, '42501', 'permission denied for copy "by_month"', 'a stranger has no say');
RESET ROLE;
SELECT throws_ok($$SELECT anabranch.on_partition_removed('by_month', NULL)$$, '22004', NULL, 'NULL is no policy');
SELECT throws_ok($$SELECT anabranch.on_partition_removed('by_month', 'forget')$$, '22023', 'policy "forget" is unknown', 'nor is another word');
SELECT throws_ok($$SELECT anabranch.on_partition_removed('by_month', 'subtract')$$, '0A000', 'policy "subtract" is not supported', 'what cannot be done is refused by name');
SELECT is((SELECT string_agg(DISTINCT on_partition_removed, ' ') FROM anabranch.copies), 'stale', 'by default a copy becomes stale');
SELECT anabranch.on_partition_removed('by_month', 'keep'), anabranch.on_partition_removed('by_kind', 'keep') \g /dev/null

SAVEPOINT undone;
SELECT anabranch.create_twin('by_month'::regclass, NULL, 'rebuild')::oid AS twin \gset
DROP TABLE events_1;
SELECT throws_ok(format('SELECT anabranch.carry_out_swap(%s)', :twin), 'AN004', NULL, 'a twin that has not read a partition does not take the place of a copy that keeps its rows');
ROLLBACK TO undone;
SELECT is((SELECT count(*)::int FROM anabranch.retained), 0, 'what is rolled back has removed nothing');
ALTER TABLE events DETACH PARTITION events_1;
SELECT is(states(), 'by_kind live, by_month live, strict stale', 'a partition that is detached leaves the copies as they are that keep its rows');
SELECT is((SELECT string_agg(copy || ' ' || leaf, ', ' ORDER BY copy::text) FROM anabranch.retained), 'by_kind public.events_1, by_month public.events_1', 'which is noted');
SELECT is((SELECT c FROM by_month WHERE month = 1), 31::bigint, 'the rows are still counted');
SELECT matches((SELECT level || ': ' || problem FROM anabranch.status WHERE name = 'by_month'), '^ok: keeps rows of 1 partitions that were removed, the first at ', 'status says since when');
DROP TABLE events_1;
SELECT is((SELECT count(*)::int FROM anabranch.retained), 2, 'a table that is no partition any more may be dropped');
DROP TABLE events_2;
SELECT is((SELECT removed_partitions FROM anabranch.copies WHERE copy = 'by_month'::regclass), 2::bigint, 'a partition that is dropped is noted as well');
ALTER TABLE events_3 ADD CHECK (n > 0);
CREATE TABLE events_5 PARTITION OF events FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
ALTER TABLE events DETACH PARTITION events_5;
SELECT is((SELECT removed_partitions FROM anabranch.copies WHERE copy = 'by_month'::regclass), 2::bigint, 'and one that was empty is not');

CREATE FUNCTION verified(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  number bigint;
BEGIN
  INSERT INTO anabranch.verification AS v (copy, definition, mode, repairs, duty, requested_by, state, live_since)
  SELECT d.copy, d.id, 'full', false, 1, 'test', 'running', p.live_since
  FROM anabranch.definition AS d JOIN anabranch.progress AS p ON p.copy = d.copy WHERE d.copy = name::regclass RETURNING run INTO number;
  PERFORM anabranch.record_proof(number, NULL, NULL, 0, 100);
  PERFORM anabranch.end_verification(number, 'done');
  RETURN (SELECT regexp_replace(verdict, ' at LSN [^;]*', '') FROM anabranch.verifications WHERE run = number);
END
$$;
SELECT is(verified('by_month'), '2 of 4 keys equal to the definition; 2 are of removed partitions, 0 may be in part, 0 differ', 'groups of removed rows alone are told from the others');
SELECT is((SELECT string_agg(class || ' ' || (key ->> 'month') || ' ' || outcome, ', ' ORDER BY key) FROM anabranch.difference), 'extra 1 retained, extra 2 retained', 'and named');
SELECT is((SELECT (differing, retained, undetermined, left_over, repaired) FROM anabranch.verifications)::text, '(0,2,0,0,0)', 'they do not count as differing, nor as repaired');
SELECT is((SELECT proof_differing FROM anabranch.copies WHERE copy = 'by_month'::regclass), 0::bigint, 'so that status complains of nothing');
SELECT is(anabranch.repair((SELECT max(run) FROM anabranch.verification)), NULL, 'nor is there anything to repair');
UPDATE anabranch_data.by_month SET anabranch_n1 = anabranch_n1 + 1 WHERE month = 4;
DELETE FROM anabranch_data.by_month WHERE month = 3;
SELECT is(verified('by_month'), '0 of 4 keys equal to the definition; 2 are of removed partitions, 1 may be in part, 1 differ',
  'one that is missing differs; of one with other contents nobody can tell, and it is never counted as equal');
SELECT is(verified('by_kind'), '0 of 3 keys equal to the definition; 0 are of removed partitions, 3 may be in part, 0 differ', 'groups that are removed in part are undetermined');

SELECT throws_ok($$SELECT anabranch.rebuild('by_month')$$, 'AN004', NULL, 'filled anew the copy would not have these rows');
SELECT throws_ok($$SELECT anabranch.alter_aggregate_table('by_month', 'SELECT count(*) AS c FROM events')$$, 'AN004', NULL, 'nor under another rule');
UPDATE anabranch.progress SET state = 'stale' WHERE copy = 'by_month'::regclass;
SELECT throws_like($$SELECT anabranch.resume('by_month')$$, '%by_month holds rows of 2 partitions that were removed since %, and filled anew it would not', 'it is not filled by the way either');
SELECT is((SELECT removed_partitions FROM anabranch.copies WHERE copy = 'by_month'::regclass), 2::bigint, 'until its owner');
SELECT anabranch.on_partition_removed('by_kind', 'stale') \g /dev/null
SELECT is(states(), 'by_kind stale, by_month stale, strict stale', 'gives them up, by which it is stale');
SELECT lives_ok($$SELECT anabranch.resume('by_kind')$$, 'and may be filled');
SELECT anabranch.on_partition_removed('by_kind', 'keep') \g /dev/null
DROP TABLE events_3;
SELECT is((SELECT count(*)::int FROM anabranch.retained WHERE copy = 'by_kind'::regclass), 0, 'a copy that nothing was read into keeps nothing');
UPDATE anabranch.progress SET state = 'filling' WHERE copy = 'by_kind'::regclass;
DROP TABLE events_4;
SELECT alike(states(), 'by_kind stale, %', 'of one being filled nobody could say what it keeps');
SELECT anabranch.drop_aggregate_table('by_month') \g /dev/null
SELECT is((SELECT count(*)::int FROM anabranch.retained), 0, 'nothing is kept of a copy that is gone');
SELECT * FROM finish();
ROLLBACK;
