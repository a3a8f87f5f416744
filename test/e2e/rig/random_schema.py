"""Random tables, definitions over them, and writes to them, for the property test.

Everything is drawn from one random.Random, so a seed gives the same run. Values are small, so that sums cannot overflow
the types of expressions, and from few alternatives, so that groups are shared; every type has its hard ones.
"""

import dataclasses

# type -> (values as SQL, may be a group key, aggregates over it)
COUNTS = ["count({})", "count({0}) FILTER (WHERE {0} IS NOT NULL)"]
SUMS = ["sum({})", "avg({})"]
VARIANCES = ["variance({})", "stddev_pop({})", "var_pop({})", "stddev({})"]
TYPES = {
    "smallint": (["0", "1", "-3", "7", "100"], True, SUMS + VARIANCES),
    "integer": (["0", "1", "2", "-5", "42", "1000"], True, SUMS + VARIANCES),
    "bigint": (["0", "1", "-1", "3000000000", "9007199254740993"], True, SUMS + VARIANCES),
    "numeric(12,2)": (["0", "1.5", "-2.25", "99999.99"], True, SUMS + VARIANCES),
    "numeric": (["0", "0.0", "1.50", "-2.25000", "1e-20", "123456789012345678901234567890.5", "'NaN'", "'Infinity'", "'-Infinity'", "3"], False, SUMS + VARIANCES),
    "text": (["''", "'a'", "'b'", "'ä€🐘'", "E'tab\\there'", "'NULL'", "repeat('long ', 400)"], True, []),
    # Kept out of line, and too large for an index.
    "varchar": (["(SELECT string_agg(md5(i::text || {r}), '') FROM generate_series(1, 90) i)", "'short'"], False, []),
    "boolean": (["true", "false"], True, ["bool_and({})", "bool_or({})", "every({})"]),
    "date": (["'2024-02-29'", "'0044-03-15 BC'", "'infinity'", "'2000-01-01'"], True, []),
    "timestamp": (["'2024-02-29 12:34:56.789'", "'-infinity'", "'2000-01-01'"], True, []),
    "timestamptz": (["'2024-03-31 01:30:00+01'", "'infinity'", "'2000-01-01 00:00+00'"], True, []),
    "interval": (["'1 mon -3 days 04:05:06.7'", "'30 days'", "'0'", "'-1 year'"], False, ["sum({})"]),
    "money": (["12.34", "0", "'-7.5'"], True, ["sum({})"]),
    "uuid": (["'00000000-0000-0000-0000-000000000000'", "md5({r}::text)::uuid"], True, []),
    "bytea": (["''", "'\\x00ff'", "decode(repeat('ab', 2000), 'hex')"], True, []),
    "mood": (["'sad'", "'ok'", "'so ''happy''\"'"], True, []),
    "positive": (["1", "2", "3"], True, SUMS),
    "text[]": (["'{}'", "'{a,NULL,\"b,c\"}'", "'[2:3]={x,y}'"], True, []),
    "jsonb": (["'{\"a\": 1}'", "'null'", "'[1, 2.50]'"], True, []),
    "char(4)": (["'x'", "'abcd'", "''"], True, []),
    "pair": (["ROW(1, 'a')", "ROW(NULL, 'b')"], True, []),
}
TYPES_SQL = """
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'so ''happy''"');
    CREATE DOMAIN small AS int;
    CREATE DOMAIN positive AS small CHECK (VALUE > 0);
    CREATE TYPE pair AS (x int, y text);
"""

GROUP_EXPRESSIONS = {
    "integer": ["{} % 3", "coalesce({}, -1)", "abs({})"], "text": ["left({}, 2)", "length({})", "{} || '!'"],
    "date": ["{} > '2001-01-01'"], "timestamp": ["{}::date"], "boolean": ["NOT {}"], "numeric": ["{} IS NULL", "{} > 1"],
    "timestamptz": ["({} AT TIME ZONE 'UTC')::date"], "jsonb": ["{} -> 'a'"], "text[]": ["{}[1]"],
}
CONDITIONS = {
    "integer": ["{} > 1", "{} IN (1, 2, 42)"], "text": ["{} <> 'b'", "{} LIKE '%a%'", "{} IS NULL"], "boolean": ["{}", "{} IS NOT TRUE"],
    "numeric": ["{} < 5"], "bigint": ["{} <> 0"], "date": ["{} >= '2000-01-01'"],
}


@dataclasses.dataclass
class Table:
    name: str
    columns: dict  # name -> type; the key is `id` (and `part`)
    keyed: bool
    partitioned: bool
    unused: int = 0  # names given to columns that come and go


def value(rng, type_name, null=0.15):
    if rng.random() < null:
        return "NULL"
    return rng.choice(TYPES[type_name][0]).replace("{r}", str(rng.randrange(5))) + f"::{type_name}"


def make_tables(rng):
    """([Table], SQL that makes them)."""
    tables, statements = [], [TYPES_SQL]
    for number in range(rng.randint(1, 3)):
        types = rng.sample(sorted(TYPES), rng.randint(3, 7))
        # A type that both tables of a UNION ALL have, and something to count.
        columns = {f"c{index}": type_name for index, type_name in enumerate(["integer", "text"] + types)}
        table = Table(f"t{number}", columns, keyed=rng.random() < 0.75, partitioned=rng.random() < 0.3)
        listed = list(columns.items())
        if not table.partitioned:
            rng.shuffle(listed)
        body = ", ".join(f"{name} {type_name}" for name, type_name in listed)
        gap = "dropped int, " if rng.random() < 0.5 else ""
        key = ", PRIMARY KEY (id, part)" if table.keyed else ""
        statements.append(f"CREATE TABLE {table.name} ({gap}id int, part int, {body}{key})" + (" PARTITION BY LIST (part)" if table.partitioned else ""))
        if table.partitioned:
            # One partition is made by hand with its columns in another order, and attached.
            statements.append(f"CREATE TABLE {table.name}_0 PARTITION OF {table.name} FOR VALUES IN (0)")
            rest = ", ".join(f"{name} {type_name}" for name, type_name in reversed(listed))
            statements.append(f"CREATE TABLE {table.name}_1 ({rest}, part int{' NOT NULL' if key else ''}, gone int, id int{' NOT NULL' if key else ''}{', dropped int' if gap else ''})")
            statements.append(f"ALTER TABLE {table.name}_1 DROP COLUMN gone")
            statements.append(f"ALTER TABLE {table.name} ATTACH PARTITION {table.name}_1 DEFAULT")
        if gap:
            statements.append(f"ALTER TABLE {table.name} DROP COLUMN dropped")
        for relation in [table.name] + ([f"{table.name}_0", f"{table.name}_1"] if table.partitioned else []):
            statements.append(f"ALTER TABLE {relation} REPLICA IDENTITY FULL")
        tables.append(table)
    return tables, ";\n".join(statements)


def base_type(type_name):
    return type_name.partition("(")[0]


def column_expression(rng, table, pool):
    """A column, or an expression over one from `pool`, or None."""
    name, type_name = rng.choice(sorted(table.columns.items()))
    choices = pool.get(base_type(type_name), [])
    return rng.choice(choices).format(name) if choices else None


def where_clause(rng, table):
    condition = column_expression(rng, table, CONDITIONS) if rng.random() < 0.4 else None
    return f" WHERE {condition}" if condition else ""


def aggregate_query(rng, tables):
    if len(tables) > 1 and rng.random() < 0.4:
        return union_query(rng, rng.sample(tables, 2))
    table = rng.choice(tables)
    groups = []
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        expression = column_expression(rng, table, GROUP_EXPRESSIONS) if rng.random() < 0.4 else None
        if expression is None:
            expression = rng.choice(sorted(name for name, type_name in table.columns.items() if TYPES[type_name][1]))
        groups.append(expression)
    groups = list(dict.fromkeys(groups))
    aggregates = ["count(*)"]
    for name, type_name in rng.sample(sorted(table.columns.items()), min(3, len(table.columns))):
        chosen = rng.choice(COUNTS + TYPES[type_name][2] * 2).format(name)
        condition = column_expression(rng, table, CONDITIONS)
        if condition and "FILTER" not in chosen and rng.random() < 0.3:
            chosen += f" FILTER (WHERE {condition})"
        aggregates.append(chosen)
    if rng.random() < 0.3:
        aggregates.append("count(*) * 2 + count(c0)")
    if rng.random() < 0.2:
        aggregates.append("coalesce(sum(c0), 0) / nullif(count(c1), 0)::numeric")
    # A group key need not be selected.
    shown = groups if rng.random() < 0.85 else groups[1:]
    targets = ", ".join(f"{expression} AS k{i}" for i, expression in enumerate(shown))
    targets += (", " if targets else "") + ", ".join(f"{expression} AS a{i}" for i, expression in enumerate(aggregates))
    query = f"SELECT {targets} FROM {table.name}{where_clause(rng, table)}"
    if groups:
        query += f" GROUP BY {', '.join(groups)}"
        if rng.random() < 0.25:
            query += rng.choice([" HAVING count(*) > 1", " HAVING sum(c0) > 0", " HAVING count(c1) < count(*)"])
    return query


def union_query(rng, tables):
    branches = " UNION ALL ".join(f"SELECT c0 AS n, c1 AS t, {number} AS origin FROM {table.name}{where_clause(rng, table)}" for number, table in enumerate(tables))
    group = rng.choice(["t", "n % 4", "origin", "t, origin"])
    return f"SELECT {group}, count(*) AS rows, sum(n) AS total, avg(n) AS mean, sum(origin) AS origins FROM ({branches}) AS events GROUP BY {group}"


def rows_query(rng, tables):
    table = rng.choice([table for table in tables if table.keyed] or tables)
    names = rng.sample(sorted(table.columns), rng.randint(1, len(table.columns)))
    expression = column_expression(rng, table, GROUP_EXPRESSIONS)
    targets = ", ".join(["id", "part"] + names + ([f"{expression} AS e"] if expression else []))
    return f"SELECT {targets} FROM {table.name}{where_clause(rng, table)}"


def statement(rng, table, next_id):
    """One random write. Some fail (duplicate keys): the caller lives with it."""
    names = sorted(table.columns)

    def assignments():
        return ", ".join(f"{name} = {value(rng, table.columns[name])}" for name in rng.sample(names, rng.randint(1, 3)))

    kind = rng.choices(["insert", "many", "update", "bulk", "key", "part", "delete", "purge", "noop"], [6, 2, 6, 1, 2, 1, 3, 0.5, 1])[0]
    some = f"id % {rng.randint(2, 9)} = {rng.randint(0, 2)}"
    if kind == "insert":
        return f"INSERT INTO {table.name} (id, part, {', '.join(names)}) VALUES ({next_id()}, {rng.randint(0, 3)}, {', '.join(value(rng, table.columns[name]) for name in names)})"
    if kind == "many":
        count = rng.randint(2, 60)
        first = next_id(count)
        return f"INSERT INTO {table.name} (id, part, {', '.join(names)}) SELECT i, i % 4, {', '.join(value(rng, table.columns[name]) for name in names)} FROM generate_series({first}, {first + count - 1}) AS i"
    if kind == "update":
        return f"UPDATE {table.name} SET {assignments()} WHERE {some}"
    if kind == "bulk":
        return f"UPDATE {table.name} SET {assignments()}"
    if kind == "key":
        return f"UPDATE {table.name} SET id = id + {next_id(2000)} WHERE id % 11 = {rng.randint(0, 10)}"
    if kind == "part":
        return f"UPDATE {table.name} SET part = (part + 1) % 4 WHERE {some}"
    if kind == "delete":
        return f"DELETE FROM {table.name} WHERE {some}"
    if kind == "purge":
        return f"DELETE FROM {table.name}"
    return f"UPDATE {table.name} SET id = id WHERE {some}"


def ddl(rng, table):
    """A change of the table that no definition cares about."""
    kind = rng.choice(["add", "add", "drop", "rename", "retype", "index", "vacuum", "statistics"])
    if kind == "add":
        table.unused += 1
        return f"ALTER TABLE {table.name} ADD COLUMN u{table.unused} {rng.choice(['int', 'text DEFAULT repeat(md5(random()::text), 100)', 'numeric DEFAULT random()'])}"
    if kind in ("drop", "rename", "retype") and table.unused:
        name = f"u{rng.randint(1, table.unused)}"
        if kind == "drop":
            return f"ALTER TABLE {table.name} DROP COLUMN IF EXISTS {name}"
        if kind == "rename":
            return f"ALTER TABLE {table.name} RENAME COLUMN {name} TO {name}_{rng.randrange(1000)}"
        return f"ALTER TABLE {table.name} ALTER COLUMN {name} TYPE text"
    if kind == "vacuum":
        return f"VACUUM FULL {table.name}"
    if kind == "index":
        return f"CREATE INDEX ON {table.name} (c0)"
    return f"ANALYZE {table.name}"
