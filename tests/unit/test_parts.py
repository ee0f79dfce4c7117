"""A query in parts: which texts can be one, which blocks each part has, and that parts put together are the whole."""

import random
from itertools import pairwise

import pandas as pd
import pytest
from fix_wire import decoder, some_rows
from hypothesis import given
from hypothesis import strategies as st

from pgmonkey_magic.results.copy_format import PADDING
from pgmonkey_magic.results.output import Output
from pgmonkey_magic.results.parts import (
    MOST_PARTS,
    PART_BYTES,
    Scan,
    Unsplit,
    functions,
    parts_of,
    refuse_moments,
    scans_of,
)
from pgmonkey_magic.results.plan import read_plans
from pgmonkey_magic.sql import one_table

RANGE = (
    "{0}.ctid OPERATOR(pg_catalog.>=) '(3,0)'::pg_catalog.tid AND "
    "{0}.ctid OPERATOR(pg_catalog.<) '(9,0)'::pg_catalog.tid"
)
OUTPUTS = (
    Output(),
    Output(dtypes="pyarrow"),
    Output(dtypes="numpy"),
    Output(decimals="exact"),
    Output(kind="arrow"),
    Output(kind="dicts"),
)


@pytest.mark.parametrize(
    ("sql", "head", "table", "alias", "condition"),
    [
        ("select * from t", "select * ", '"s"."t"', "t", ""),
        ("TABLE t", "SELECT * ", '"s"."t"', "t", ""),
        ("table only x.t", "SELECT * ", '"s"."t"', "t", ""),
        ('SELECT a FROM "t"', "SELECT a ", '"s"."t"', '"t"', ""),
        ("SELECT a FROM ONLY x.y.t", "SELECT a ", '"s"."t"', "t", ""),
        ("SELECT a FROM parent WHERE b", "SELECT a ", '"s"."t" AS parent', "parent", "b"),
        ("SELECT a, a+1 AS from FROM t AS x WHERE a>1", "SELECT a, a+1 AS from ", '"s"."t" AS x', "x", "a>1"),
        ('select from t "Y" where a or b -- c', "select ", '"s"."t" AS "Y"', '"Y"', "a or b -- c"),
        ("-- é\nSELECT extract(year from d) FROM t", "-- é\nSELECT extract(year from d) ", '"s"."t"', "t", ""),
        ("SELECT t.from, t.limit FROM t WHERE t.order", "SELECT t.from, t.limit ", '"s"."t"', "t", "t.order"),
        ("SELECT 1 FROM t WHERE a IS DISTINCT FROM b", "SELECT 1 ", '"s"."t"', "t", "a IS DISTINCT FROM b"),
        ("SELECT ' from u' FROM t -- WHERE x", "SELECT ' from u' ", '"s"."t"', "t", ""),
    ],
)
def test_a_query_over_some_blocks(sql: str, head: str, table: str, alias: str, condition: str) -> None:
    shape = one_table(sql)
    assert shape is not None
    more = f" AND ({condition}\n)" if condition else ""
    assert shape.over("s", "t", 3, 9) == f"{head}FROM ONLY {table} WHERE {RANGE.format(alias)}{more}"
    all_of_it = f" WHERE ({condition}\n)" if condition else ""
    assert shape.over("s", "t", 0, None) == f"{head}FROM ONLY {table}{all_of_it}"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT a FROM t, u",
        "SELECT a FROM t JOIN u ON true",
        "SELECT a FROM t CROSS JOIN u",
        "SELECT a FROM t NATURAL JOIN u",
        "SELECT a FROM (SELECT 1) t",
        "SELECT a FROM f(1)",
        "SELECT a FROM t AS x (a)",
        "SELECT a FROM t TABLESAMPLE system (10)",
        "SELECT a FROM t GROUP BY a",
        "SELECT a FROM t WHERE b GROUP BY a",
        "SELECT a FROM t HAVING true",
        "SELECT a FROM t ORDER BY a",
        "SELECT a FROM t WHERE b ORDER BY a",
        "SELECT a FROM t LIMIT 5",
        "SELECT a FROM t OFFSET 5",
        "SELECT a FROM t FETCH FIRST ROW ONLY",
        "SELECT a FROM t FOR UPDATE",
        "SELECT a FROM t WHERE b FOR SHARE",
        "SELECT a FROM t WINDOW w AS ()",
        "SELECT a FROM t UNION SELECT 1",
        "SELECT 1 UNION SELECT a FROM t",
        "SELECT a FROM t WHERE b EXCEPT SELECT 1",
        "SELECT DISTINCT a FROM t",
        "SELECT a IS DISTINCT FROM b FROM t",
        "SELECT a INTO b FROM t",
        "WITH w AS (SELECT 1) SELECT a FROM t",
        "(SELECT a FROM t)",
        "TABLE t ORDER BY 1",
        "TABLE t LIMIT 3",
        "VALUES (1)",
        "SELECT a FROM t WHERE",
        "SELECT a FROM",
        "UPDATE t SET a = 1",
        "SELECT a FROM t *",
        "",
    ],
)
def test_every_other_shape_is_left_alone(sql: str) -> None:
    assert one_table(sql) is None


@given(st.lists(st.tuples(st.integers(0, 2**32), st.integers(0, 2**45)), min_size=1, max_size=MOST_PARTS))
def test_the_parts_have_every_block_once_and_in_order(sizes: list[tuple[int, int]]) -> None:
    try:
        parts = parts_of(sizes)
    except Unsplit:
        assert len(sizes) == 1
        assert sizes[0][0] < 2 or sizes[0][1] < 2 * PART_BYTES
        return
    assert [of for of, _, _ in parts] == sorted(of for of, _, _ in parts)
    assert len(parts) <= MOST_PARTS + len(sizes)
    for table, (blocks, _) in enumerate(sizes):
        ranges = [(first, end) for of, first, end in parts if of == table]
        assert ranges[0][0] == 0
        assert ranges[-1][1] is None
        for (first, end), (following, _) in pairwise(ranges):
            assert end is not None
            assert first < end == following < blocks


def test_a_part_is_neither_small_nor_much_larger_than_it_must_be() -> None:
    blocks = 100_000
    parts = parts_of([(blocks, blocks * 8192)])
    sizes = [((end or blocks) - first) * 8192 for _, first, end in parts]
    assert min(sizes) >= PART_BYTES
    assert max(sizes) < 1.1 * PART_BYTES
    assert len(parts_of([(10**9, 10**9 * 8192)])) == MOST_PARTS


@pytest.mark.parametrize("seed", range(300))
def test_parts_put_together_are_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    oids, rows = some_rows(chance)
    rows = [chance.choice(rows) for _ in range(chance.randint(0, 40))] if rows else []
    output = chance.choice(OUTPUTS)

    def taken(some: list[bytes]):
        made = decoder(oids, output)
        for start in range(0, len(some), 7):
            batch = some[start : start + 7]
            made.take(b"".join(batch) + PADDING, [len(one) for one in batch])
        return made

    edges = sorted(chance.randint(0, len(rows)) for _ in range(chance.randint(1, 4)))
    first, *others = [taken(rows[a:b]) for a, b in zip([0, *edges], [*edges, len(rows)], strict=True)]
    first.extend(others)
    whole, together = taken(rows).frame(), first.frame()
    assert together.notes == whole.notes
    if output.kind == "df":
        pd.testing.assert_frame_equal(together.data, whole.data)
    elif output.kind == "arrow":
        assert together.data.schema == whole.data.schema
        assert repr(together.data.to_pylist()) == repr(whole.data.to_pylist())
    else:
        assert repr(together.data) == repr(whole.data)


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"Node Type": "Seq Scan"}, "may run in another process"),
        ({"Node Type": "Gather", "Single Copy": False, "Plans": [{"Node Type": "Seq Scan"}]}, "another process"),
        ({"Node Type": "Gather", "Single Copy": True, "Plans": [{"Node Type": "Aggregate"}]}, "Aggregate"),
        (
            {
                "Node Type": "Gather",
                "Single Copy": True,
                "Plans": [
                    {"Node Type": "Result", "Parent Relationship": "InitPlan"},
                    {"Node Type": "Seq Scan", "Parent Relationship": "Outer"},
                ],
            },
            "Result",
        ),
    ],
)
def test_plans_that_are_more_than_a_scan(plan: dict, reason: str) -> None:
    (read,) = read_plans([{"Plan": plan}])
    with pytest.raises(Unsplit, match=reason):
        scans_of(read.root)


def test_what_is_another_in_each_session() -> None:
    for sql in ("SELECT 'now'::timestamptz", "SELECT E' TODAY'", "SELECT $$tomorrow noon$$", "SELECT U&'yesterday'"):
        with pytest.raises(Unsplit):
            refuse_moments(sql)
    refuse_moments("SELECT 'nowhere', \"now\", 'it is now' -- 'now'")
    scan = Scan("s", "t", "t", ("t.a", 'upper(t.b) || "Odd"(t.c)'), "(t.a > round((t.b)::numeric))")
    assert functions([scan]) == ["Odd", "round", "upper"]
    with pytest.raises(Unsplit, match="CURRENT_DATE"):
        functions([Scan("s", "t", "t", ("t.a",), "(t.d < CURRENT_DATE)")])
    assert functions([Scan("s", "t", "t", ('t."current_date"', "'CURRENT_DATE'::text"), "")]) == []
