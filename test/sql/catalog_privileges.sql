\set ECHO none
\i test/fixture/start.sql
SELECT plan(8);

-- Who may do what. A copy's own owner needs none of the roles.
CREATE ROLE nobody_of_ours;
CREATE ROLE our_monitor IN ROLE anabranch_monitor;
CREATE ROLE our_operator IN ROLE anabranch_operator;
CREATE ROLE our_sidecar IN ROLE anabranch_sidecar;
-- What a role may do, beyond what everybody may.
CREATE FUNCTION extra(role name) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(what, ' ' ORDER BY what COLLATE "C") FROM (
    SELECT p.proname::text FROM pg_proc AS p
    WHERE p.pronamespace = 'anabranch'::regnamespace AND has_function_privilege(role, p.oid, 'EXECUTE')
      AND NOT has_function_privilege('nobody_of_ours', p.oid, 'EXECUTE')
    UNION
    SELECT c.relname || '=' || (SELECT string_agg(lower(left(privilege, 1)), '' ORDER BY privilege)
                                FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
                                WHERE has_table_privilege(role, c.oid, privilege))
    FROM pg_class AS c WHERE c.relnamespace = 'anabranch'::regnamespace AND c.relkind IN ('r', 'v')) AS all_of_it (what)
$$;

SELECT is(extra('nobody_of_ours'), NULL, 'an ordinary role has nothing beyond what everybody has');
SELECT is(extra('our_monitor'),
  'column_definitions contents=s copies=s dead_letters=s decode differences=s explain findings=s indexes=s misfits publishers=s snapshot_holder sources=s status=s unreadable verifications=s',
  'anabranch_monitor reads the views');
SELECT is(extra('our_operator'),
  'column_definitions contents=s copies=s create_aggregate_table create_index dead_letters=s decode differences=s explain findings=s import_stream indexes=s misfits publishers=s snapshot_holder sources=s status=s unreadable verifications=s',
  'anabranch_operator creates copies as well');
SELECT is(extra('our_sidecar'),
  'apply apply_filling begin_batch begin_copy_batch begin_correction begin_deliveries begin_index_comparison begin_proof begin_twin carry_out_swap changed_documents column_definitions '
  'content_work contents=s copies=s copies_to_apply dead_letters=s decode delivery_state differences=s dropped_indexes end_batch end_turn end_twin end_verification fill_chunk fill_start findings=s '
  'gather give_up_swap give_way heartbeat index_is_gone indexes=s indexes_to_deliver keyed_documents keyless_documents misfits next_documents next_verification note_content note_index_problem '
  'note_publisher note_verification park pending_behind published_before publisher_witnesses publishers=s read_content record_correction record_delivery record_index_comparison record_proof '
  'record_twin_proof renew_witness request_swap set_aside set_copy_position show snapshot_holder sources=s start_sidecar status=s sweep_again take_turn trim_pending twin_state twins_to_swap unreadable '
  'verifications=s wait_for_writers',
  'anabranch_sidecar carries out, and writes no table directly');
SELECT is((SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname ~ '^anabranch_(monitor|operator|sidecar)$'
           AND (rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)), NULL,
  'none of the roles can log in or has a right of the cluster');

SET ROLE our_monitor;
SELECT lives_ok('SELECT * FROM anabranch.status; SELECT * FROM anabranch.copies; SELECT * FROM anabranch.sources',
  'a monitor can read the views to their end');
SET ROLE nobody_of_ours;
SELECT throws_ok('SELECT * FROM anabranch.definition', '42501', NULL, 'nobody else reads the catalog');
SELECT throws_ok('SELECT anabranch.forget(ARRAY[0::oid])', '42501', NULL, 'nobody calls what works behind the functions');
RESET ROLE;
SELECT * FROM finish();
ROLLBACK;
