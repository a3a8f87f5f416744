\set ECHO none
\i test/fixture/start.sql
SELECT plan(12);
-- The two witnesses of a source: what its progress topic holds, and what it is to hold next.
CREATE FUNCTION stored() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', source, coalesce(recorded::text, '-'), fresh), ', ' ORDER BY source) FROM anabranch.publisher_witness
$$;

SELECT is((SELECT concat_ws(' ', recorded, fresh) FROM anabranch.publisher_witnesses('home')), '', 'at first there is none');
SELECT anabranch.renew_witness('home', NULL, NULL) AS first \gset
SELECT isnt(:'first'::text, '', 'the first one is made');
SELECT is(stored(), 'home - ' || :'first', 'and stored with nothing recorded');
SELECT anabranch.renew_witness('home', :'first', :'first') AS second \gset
SELECT isnt(:'second'::text, :'first', 'each one is another');
SELECT is((SELECT concat_ws(' ', recorded, fresh) FROM anabranch.publisher_witnesses('home')), format('%s %s', :'first', :'second'), 'what is recorded stays beside the fresh one');
SELECT is(anabranch.renew_witness('home', :'first', :'first'), NULL, 'a process that knows an earlier one renews nothing');
SELECT is(anabranch.renew_witness('home', NULL, NULL), NULL, 'nor does one that knows none');
SELECT is(stored(), format('home %s %s', :'first', :'second'), 'and nothing has changed');
SELECT anabranch.renew_witness('other', NULL, NULL) AS other \gset
SELECT is(stored(), format('home %s %s, other - %s', :'first', :'second', :'other'), 'each source has its own');
SELECT is(current_setting('synchronous_commit') || ' ' || current_setting('lock_timeout'), 'local 1s',
  'whose commit waits for no standby, and not long for a lock');

CREATE ROLE nobody_of_ours;
CREATE ROLE our_sidecar IN ROLE anabranch_sidecar;
SET ROLE nobody_of_ours;
SELECT throws_ok($$SELECT anabranch.renew_witness('home', NULL, NULL)$$, '42501', NULL, 'nobody else renews it');
SET ROLE our_sidecar;
SELECT isnt(anabranch.renew_witness('home', :'second', :'second'), NULL, 'the sidecar does');
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
