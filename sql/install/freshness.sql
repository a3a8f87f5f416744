-- For readers that must not see old data.

CREATE FUNCTION anabranch.wait_for(copy regclass, lsn pg_catalog.pg_lsn DEFAULT NULL, timeout interval DEFAULT '10 s')
RETURNS pg_catalog.pg_lsn
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_wait_for';
COMMENT ON FUNCTION anabranch.wait_for(regclass, pg_catalog.pg_lsn, interval) IS
  'waits until a copy has reached a position, or (NULL) holds all that is committed now; returns its position';

CREATE FUNCTION anabranch.is_fresh(copy regclass, lsn pg_catalog.pg_lsn) RETURNS boolean
LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_is_fresh';
COMMENT ON FUNCTION anabranch.is_fresh(regclass, pg_catalog.pg_lsn) IS 'whether a copy holds everything up to a position';

CREATE FUNCTION anabranch.assert_fresh(copy regclass, bound interval) RETURNS void
LANGUAGE c SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'anabranch_assert_fresh';
COMMENT ON FUNCTION anabranch.assert_fresh(regclass, interval) IS
  'raises AN006 unless a copy holds everything that was committed longer than this ago';
