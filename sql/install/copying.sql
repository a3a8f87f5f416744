-- What brings rows into a copy: from the stream, from its sources, and into sight.

CREATE FUNCTION anabranch.apply(copy oid, delta bytea) RETURNS bigint
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_apply';
COMMENT ON FUNCTION anabranch.apply(oid, bytea) IS
  'folds and merges changed rows (a Delta of extension/delta.proto) into a copy; returns how many signed rows';

CREATE FUNCTION anabranch.apply_filling(copy oid, delta bytea) RETURNS bigint
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_apply_filling';
COMMENT ON FUNCTION anabranch.apply_filling(oid, bytea) IS
  'the same while the copy is filled: a row counts if its chunk has been read and had not seen its transaction';

CREATE FUNCTION anabranch.gather(copy oid, delta bytea, filling boolean DEFAULT false) RETURNS bigint
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_gather';
COMMENT ON FUNCTION anabranch.gather(oid, bytea, boolean) IS
  'keeps a part of a batch''s rows for the copy''s next apply or apply_filling in the transaction, which merges them all at once';

CREATE FUNCTION anabranch.fill_start(copy oid, slot text, lsn pg_catalog.pg_lsn) RETURNS void
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_fill_start';
COMMENT ON FUNCTION anabranch.fill_start(oid, text, pg_catalog.pg_lsn) IS
  'begins to fill a copy from nothing; wait_for_writers goes before, for each of its sources';

CREATE FUNCTION anabranch.fill_chunk(copy oid, max_rows int, OUT ordinal int, OUT rows bigint, OUT done boolean)
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_fill_chunk';
COMMENT ON FUNCTION anabranch.fill_chunk(oid, int) IS
  'reads the next chunk of the sources of a copy that is being filled; done: there is nothing left to read';

CREATE FUNCTION anabranch.show(copy oid, lsn pg_catalog.pg_lsn) RETURNS void
LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_show';
COMMENT ON FUNCTION anabranch.show(oid, pg_catalog.pg_lsn) IS
  'a filled copy joins the live ones at this position, and its rows appear';
