-- Who may do what.

GRANT USAGE ON SCHEMA anabranch TO PUBLIC;
GRANT USAGE ON SCHEMA anabranch_data TO PUBLIC;
GRANT USAGE ON SCHEMA anabranch_stream TO PUBLIC;

-- What PUBLIC may execute is granted below by name; everything else of this schema is taken away here.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA anabranch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION anabranch.decode(bytea) TO anabranch_monitor, anabranch_operator, anabranch_sidecar;

-- The caller becomes the copy's owner; what he may read and publish is checked by the function.
GRANT EXECUTE ON FUNCTION anabranch.create_aggregate_table(text, text, boolean), anabranch.create_index(text, text, text, text[], jsonb, boolean)
TO anabranch_operator;
-- The caller becomes the stream's owner.
GRANT EXECUTE ON FUNCTION anabranch.import_stream(text, text) TO anabranch_operator;
-- These run as the copy's owner.
GRANT EXECUTE ON FUNCTION
  anabranch.census(numeric, integer),
  anabranch.add_counts(bigint[], bigint[]),
  anabranch.row_key(int2[], VARIADIC "any")
TO PUBLIC;

-- These ask for the copy's owner or a member of anabranch_operator.
GRANT EXECUTE ON FUNCTION
  anabranch.drop_aggregate_table(regclass),
  anabranch.add_index(regclass, text[], text),
  anabranch.alter_index(regclass, text, jsonb, boolean),
  anabranch.drop_index(regclass),
  anabranch.pause(regclass),
  anabranch.resume(regclass),
  anabranch.verify(regclass, text, jsonb, float8, boolean),
  anabranch.repair(bigint),
  anabranch.cancel(bigint),
  anabranch.verify_every(regclass, interval, float8),
  anabranch.on_partition_removed(regclass, text),
  anabranch.rebuild(regclass),
  anabranch.alter_aggregate_table(regclass, text, boolean),
  anabranch.swap(regclass),
  anabranch.swap_back(regclass),
  anabranch.drop_former(regclass),
  -- The same of a table; with a condition, of its owner.
  anabranch.republish(regclass, text),
  anabranch.cancel_republish(regclass)
TO PUBLIC;

GRANT EXECUTE ON FUNCTION
  anabranch.start_sidecar(text, text, text, text, int, text, text),
  anabranch.heartbeat(text, bigint, text),
  anabranch.begin_batch(text, bigint),
  anabranch.end_batch(text, bigint, pg_catalog.pg_lsn, timestamptz, bigint, bigint, bigint),
  anabranch.begin_copy_batch(oid, text, bigint),
  anabranch.set_copy_position(oid, pg_catalog.pg_lsn),
  anabranch.set_aside(oid, text, pg_catalog.pg_lsn, text, text, pg_catalog.pg_lsn),
  anabranch.copies_to_apply(),
  anabranch.apply(oid, bytea),
  anabranch.apply_filling(oid, bytea),
  anabranch.gather(oid, bytea, boolean),
  anabranch.fill_start(oid, text, pg_catalog.pg_lsn),
  anabranch.fill_chunk(oid, int),
  anabranch.show(oid, pg_catalog.pg_lsn),
  anabranch.next_verification(),
  anabranch.give_way(),
  anabranch.note_verification(bigint, text, text),
  anabranch.end_verification(bigint, text, text),
  anabranch.begin_proof(bigint),
  anabranch.record_proof(bigint, bytea, oid, int, bigint),
  anabranch.begin_correction(bigint, text, bigint),
  anabranch.record_correction(bigint, pg_catalog.pg_lsn, bytea),
  anabranch.begin_twin(bigint),
  anabranch.twin_state(bigint),
  anabranch.record_twin_proof(bigint, bigint),
  anabranch.end_twin(bigint, boolean),
  anabranch.request_swap(bigint),
  anabranch.twins_to_swap(),
  anabranch.give_up_swap(oid, text),
  anabranch.carry_out_swap(oid),
  anabranch.note_publisher(text, text, text, pg_catalog.pg_lsn, text, text, bigint, bigint, text, int, text),
  anabranch.published_before(text),
  anabranch.publisher_witnesses(text),
  anabranch.renew_witness(text, uuid, uuid),
  anabranch.park(text, pg_catalog.pg_lsn, bigint, text, text, text, bytea, bigint, text, bytea),
  anabranch.read_content(oid, text, bytea, int, int, text, boolean, int),
  anabranch.wait_for_writers(oid),
  anabranch.content_work(text),
  anabranch.note_content(oid, bigint, text, text, text, bigint, bigint, bigint, int, boolean),
  anabranch.indexes_to_deliver(),
  anabranch.dropped_indexes(),
  anabranch.index_is_gone(text),
  anabranch.begin_deliveries(oid, bigint),
  anabranch.take_turn(oid),
  anabranch.end_turn(oid),
  anabranch.delivery_state(oid, int),
  anabranch.pending_behind(oid, bigint, int),
  anabranch.changed_documents(oid, bigint, bigint, bigint, boolean),
  anabranch.keyed_documents(oid, jsonb, bigint, boolean),
  anabranch.next_documents(oid, jsonb, int, bigint),
  anabranch.keyless_documents(oid, int, bigint),
  anabranch.record_delivery(oid, bigint, text, bigint, pg_catalog.pg_lsn, timestamptz, bigint, text, bigint, int, jsonb, bigint, jsonb, jsonb, boolean),
  anabranch.sweep_again(oid, bigint, text, text),
  anabranch.note_index_problem(oid, bigint, text, text),
  anabranch.trim_pending(oid, bigint, bigint, bigint),
  anabranch.begin_index_comparison(bigint),
  anabranch.record_index_comparison(bigint, pg_catalog.pg_lsn, bigint, bigint, bigint, jsonb)
TO anabranch_sidecar;

GRANT SELECT ON anabranch.status, anabranch.findings, anabranch.copies, anabranch.sources, anabranch.publishers, anabranch.dead_letters,
  anabranch.contents, anabranch.indexes, anabranch.verifications, anabranch.differences
TO anabranch_monitor, anabranch_operator, anabranch_sidecar;
GRANT EXECUTE ON FUNCTION anabranch.explain(regclass, boolean) TO anabranch_monitor, anabranch_operator;
-- A view's functions run as its reader.
GRANT EXECUTE ON FUNCTION
  anabranch.unreadable(oid, oid, int2[]), anabranch.misfits(oid, oid, int2[], text[]), anabranch.column_definitions(oid, int2[]),
  anabranch.snapshot_holder()
TO anabranch_monitor, anabranch_operator, anabranch_sidecar;

-- All else that PUBLIC may execute. They check that their caller may read the copy.
GRANT EXECUTE ON FUNCTION
  anabranch.wait_for(regclass, pg_catalog.pg_lsn, interval),
  anabranch.is_fresh(regclass, pg_catalog.pg_lsn),
  anabranch.assert_fresh(regclass, interval)
TO PUBLIC;

-- Says what everybody reads in pg_attribute.
GRANT EXECUTE ON FUNCTION anabranch.proto_schema(regclass) TO PUBLIC;
