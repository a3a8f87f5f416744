"""A copy against its definition, recomputed by PostgreSQL in one snapshot."""


def differing_rows(connection, copy, query, limit=10):
    """Rows in one of the two but not in the other, as [(side, row as text)], up to `limit`.

    Rows are compared by their text, since values that are equal may still print differently (1.0 and 1.00), and by the
    column names and types of the two. EXCEPT ALL, so a row that is there twice has to be there twice.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {copy} LIMIT 0")
        ours = [(column.name, column.type_code) for column in cursor.description]
        cursor.execute(f"SELECT * FROM ({query}\n) AS defined LIMIT 0")
        defined = [(column.name, column.type_code) for column in cursor.description]
        if ours != defined:
            return [("columns of the copy", str(ours)), ("columns of the definition", str(defined))]
        cursor.execute(f"""
            WITH ours AS MATERIALIZED (SELECT shown::text AS r FROM {copy} AS shown),
                 defined AS MATERIALIZED (SELECT computed::text AS r FROM ({query}\n) AS computed)
            SELECT * FROM (SELECT 'only in the copy', r FROM (TABLE ours EXCEPT ALL TABLE defined) AS a
                           UNION ALL
                           SELECT 'missing in the copy', r FROM (TABLE defined EXCEPT ALL TABLE ours) AS b) AS difference
            LIMIT {int(limit)}""")
        return cursor.fetchall()


def expect_equal(connection, copy, query):
    rows = differing_rows(connection, copy, query)
    assert not rows, f"{copy} differs from its definition:\n" + "\n".join(f"  {side}: {row}" for side, row in rows)
