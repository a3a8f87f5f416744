-- Making a copy, and the aggregate that its statements count with.

CREATE FUNCTION anabranch.create_aggregate_table(name text, query text, prepare_sources boolean DEFAULT false)
RETURNS regclass LANGUAGE c
AS 'MODULE_PATHNAME', 'anabranch_create_aggregate_table';
COMMENT ON FUNCTION anabranch.create_aggregate_table(text, text, boolean) IS
  'creates a copy that is kept equal to the query''s result; prepare_sources: sets REPLICA IDENTITY FULL where it is needed';

-- These run once per row or group and look nothing up: to pin a search_path would cost more than all they do.
CREATE FUNCTION anabranch.census_step(internal, numeric, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_census_step';
COMMENT ON FUNCTION anabranch.census_step(internal, numeric, integer) IS 'part of anabranch.census';

CREATE FUNCTION anabranch.census_result(internal) RETURNS bigint[]
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_census_result';
COMMENT ON FUNCTION anabranch.census_result(internal) IS 'part of anabranch.census';

CREATE FUNCTION anabranch.census_combine(internal, internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_census_combine';
COMMENT ON FUNCTION anabranch.census_combine(internal, internal) IS 'part of anabranch.census';

CREATE FUNCTION anabranch.census_serialize(internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_census_serialize';
COMMENT ON FUNCTION anabranch.census_serialize(internal) IS 'part of anabranch.census';

CREATE FUNCTION anabranch.census_deserialize(bytea, internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_census_deserialize';
COMMENT ON FUNCTION anabranch.census_deserialize(bytea, internal) IS 'part of anabranch.census';

-- SSPACE: of an internal state 8 kB are assumed, and of some thousand groups that they have to be put aside on disk.
CREATE AGGREGATE anabranch.census(numeric, integer) (
  SFUNC = anabranch.census_step, STYPE = internal, SSPACE = 128, FINALFUNC = anabranch.census_result, COMBINEFUNC = anabranch.census_combine,
  SERIALFUNC = anabranch.census_serialize, DESERIALFUNC = anabranch.census_deserialize, PARALLEL = SAFE);
COMMENT ON AGGREGATE anabranch.census(numeric, integer) IS
  'how many values are NaN, Infinity, -Infinity, and have display scale 0, 1, 2, ..., each with its weight';

CREATE FUNCTION anabranch.add_counts(bigint[], bigint[]) RETURNS bigint[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'anabranch_add_counts';
COMMENT ON FUNCTION anabranch.add_counts(bigint[], bigint[]) IS 'adds element by element; the shorter array goes on with zeros';
