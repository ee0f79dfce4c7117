"""Plans without a server: the command, the words, the times, the costs, the marks, the text."""

import json
from typing import Any

import pytest
from fix_plans import Grown, node, plan, trees, trees_with_init_plan
from hypothesis import given, settings

from pgmonkey_magic.errors import RequestError
from pgmonkey_magic.results.plan import Plan, PlanNode, explain_command, explain_prefix, read_plans, titles
from pgmonkey_magic.results.plan.text import WIDTH


def own(of: Plan) -> list[float]:
    return [round(each["own_ms"], 3) for each in of.nodes]


def kinds(of: Plan) -> dict[int, list[str]]:
    return {each.number: [mark.kind for mark in each.marks] for each in of.root.walk() if each.marks}


def sentence(of: Plan, kind: str) -> str:
    (found,) = [mark.sentence for each in of.root.walk() for mark in each.marks if mark.kind == kind]
    return found


# ---- the command


@pytest.mark.parametrize(
    ("analyze", "version", "options"),
    [
        (True, 160004, "FORMAT JSON, VERBOSE, ANALYZE, BUFFERS, SETTINGS, WAL"),
        (True, 120000, "FORMAT JSON, VERBOSE, ANALYZE, BUFFERS, SETTINGS"),
        (True, 110022, "FORMAT JSON, VERBOSE, ANALYZE, BUFFERS"),
        (False, 180000, "FORMAT JSON, VERBOSE, SUMMARY, SETTINGS"),
    ],
)
def test_the_options_are_those_that_the_server_knows(analyze: bool, version: int, options: str) -> None:
    assert explain_prefix(analyze=analyze, server_version=version) == f"EXPLAIN ({options}) "


@pytest.mark.parametrize("statement", ["SELECT 1", "\n\n  -- ü\n/* ; */ SELECT E'\\'' -- end", "\tTABLE t\n"])
def test_the_statement_follows_unchanged(statement: str) -> None:
    prefix = explain_prefix(analyze=True, server_version=160004)
    assert explain_command(statement, analyze=True, server_version=160004) == prefix + statement
    assert prefix.isascii()  # a position in the command, in characters, less its length is one in the statement


# ---- reading


def test_text_and_parsed_json_give_the_same() -> None:
    document = [{"Plan": node("Result", ms=0.5), "Planning Time": 0.1, "Execution Time": 0.7}]
    (read,), (parsed,) = read_plans(json.dumps(document)), read_plans(document)
    assert read.nodes == parsed.nodes
    assert (read.execution_ms, read.planning_ms) == (0.7, 0.1)
    assert read_plans(json.dumps(document).encode())[0].nodes == read.nodes


def test_rules_make_several_plans_or_none() -> None:
    several = read_plans([{"Plan": node("Result", cost=1)}, "Notify"])
    assert [each.root.title for each in several] == ["Result", "Notify"]
    assert str(several[1]) == "Not executed\n\n#  own cost  %  rows\n1                     Notify"
    assert read_plans("[]") == ()


@pytest.mark.parametrize("document", ["Seq Scan on t  (cost=0.00..1.01)", '{"Plan": {}}', "3"])
def test_what_is_no_plan_is_refused(document: str) -> None:
    with pytest.raises(RequestError, match=r"not what EXPLAIN \(FORMAT JSON\) answers"):
        read_plans(document)


def test_two_lists_of_one_name_are_both_kept() -> None:
    # as PostgreSQL 12 writes the sorts and the times of the workers
    written = """[{"Plan": {"Node Type": "Sort", "Actual Loops": 2, "Actual Rows": 1, "Actual Total Time": 1.0,
        "Workers": [{"Worker Number": 0, "Sort Space Type": "Disk", "Sort Space Used": 7}],
        "Workers": [{"Worker Number": 0, "Actual Rows": 5}]}}]"""
    (read,) = read_plans(written)
    assert len(read.root.properties["Workers"]) == 2
    assert "7 kB" in sentence(read, "disk")


# ---- the words


@pytest.mark.parametrize(
    ("keys", "title"),
    [
        ({"Node Type": "Seq Scan", "Relation Name": "t", "Alias": "t"}, "Seq Scan on t"),
        (
            {
                "Node Type": "Seq Scan",
                "Parallel Aware": True,
                "Schema": "public",
                "Relation Name": "orders",
                "Alias": "o",
            },
            "Parallel Seq Scan on public.orders o",
        ),
        (
            {
                "Node Type": "Index Scan",
                "Scan Direction": "Backward",
                "Index Name": "I",
                "Relation Name": "a b",
                "Alias": "x",
            },
            'Index Scan Backward using "I" on "a b" x',
        ),
        ({"Node Type": "Bitmap Index Scan", "Index Name": "i"}, "Bitmap Index Scan on i"),
        ({"Node Type": "Hash Join", "Join Type": "Inner"}, "Hash Join"),
        (
            {"Node Type": "Hash Join", "Join Type": "Right Semi", "Parallel Aware": True},
            "Parallel Hash Right Semi Join",
        ),
        ({"Node Type": "Merge Join", "Join Type": "Full"}, "Merge Full Join"),
        ({"Node Type": "Nested Loop", "Join Type": "Inner"}, "Nested Loop"),
        ({"Node Type": "Nested Loop", "Join Type": "Anti"}, "Nested Loop Anti Join"),
        ({"Node Type": "Aggregate", "Strategy": "Plain", "Partial Mode": "Simple"}, "Aggregate"),
        ({"Node Type": "Aggregate", "Strategy": "Hashed", "Partial Mode": "Partial"}, "Partial HashAggregate"),
        ({"Node Type": "Aggregate", "Strategy": "Sorted", "Partial Mode": "Finalize"}, "Finalize GroupAggregate"),
        ({"Node Type": "Aggregate", "Strategy": "Mixed", "Partial Mode": "Simple"}, "MixedAggregate"),
        ({"Node Type": "SetOp", "Strategy": "Hashed", "Command": "Except All"}, "HashSetOp Except All"),
        ({"Node Type": "ModifyTable", "Operation": "Merge", "Relation Name": "t", "Alias": "t"}, "Merge on t"),
        ({"Node Type": "Foreign Scan", "Operation": "Select", "Relation Name": "f", "Alias": "f"}, "Foreign Scan on f"),
        ({"Node Type": "Foreign Scan", "Operation": "Update", "Async Capable": True}, "Async Foreign Update"),
        ({"Node Type": "Custom Scan", "Custom Plan Provider": "Citus Adaptive"}, "Custom Scan (Citus Adaptive)"),
        (
            {"Node Type": "Function Scan", "Schema": "pg_catalog", "Function Name": "f", "Alias": "g"},
            "Function Scan on pg_catalog.f g",
        ),
        ({"Node Type": "CTE Scan", "CTE Name": "c", "Alias": "c_1"}, "CTE Scan on c c_1"),
        ({"Node Type": "Values Scan", "Alias": "*VALUES*"}, 'Values Scan on "*VALUES*"'),
        ({"Node Type": "Something New"}, "Something New"),
    ],
)
def test_a_node_is_called_as_in_text_explain(keys: dict[str, Any], title: str) -> None:
    assert titles.title(keys) == title


def test_a_part_of_the_query_bears_its_name() -> None:
    aggregate = node("Aggregate", ms=1, Subplan_Name="InitPlan 1 (returns $0)", Parent_Relationship="InitPlan")
    made = plan(node("Result", aggregate, ms=1))
    assert made.nodes[1]["node"] == "InitPlan 1 (returns $0): Aggregate"


# ---- own times


def test_own_time_is_all_runs_less_the_children() -> None:
    inner = node("Index Scan", ms=0.02, loops=100, Parent_Relationship="Inner")
    made = plan(node("Nested Loop", node("Seq Scan", ms=3, rows=100, Parent_Relationship="Outer"), inner, ms=6))
    assert own(made) == [1, 3, 2]
    assert [each.share for each in made.root.walk()] == pytest.approx([1 / 6, 3 / 6, 2 / 6])


def test_workers_side_by_side_are_divided_by_their_number() -> None:
    # three processes: the join ran once in each, its inner scan 30 times in all
    inner = node("Index Scan", ms=1, loops=30, Parent_Relationship="Inner")
    outer = node("Seq Scan", ms=20, loops=3, Parent_Relationship="Outer")
    made = plan(node("Gather", node("Nested Loop", outer, inner, ms=40, loops=3, Parent_Relationship="Outer"), ms=45))
    assert own(made) == [5, 10, 20, 10]
    assert [each.processes for each in made.root.walk()] == [1, 3, 3, 3]
    assert "mean" in str(made)


def test_a_gather_that_ran_often_does_not_count_as_more_processes() -> None:
    made = plan(node("Gather", node("Seq Scan", ms=10, loops=8, Parent_Relationship="Outer"), ms=22, loops=4))
    assert own(made) == [48, 40]


def init(subplan: str, ms: float, *below: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return node("Aggregate", *below, ms=ms, Subplan_Name=subplan, Parent_Relationship="InitPlan", **keys)


@pytest.mark.parametrize(
    ("subplan", "mention"), [("InitPlan 2 (returns $1,$2)", "$2"), ("InitPlan 2", "(InitPlan 2).col1")]
)
def test_an_init_plan_is_taken_from_the_node_that_asks_for_it(subplan: str, mention: str) -> None:
    scan = node("Seq Scan", ms=50, Filter=f"(x > {mention})", Parent_Relationship="Outer")
    sort = node("Sort", init(subplan, 40), scan, ms=53, Output=[f"({mention})"])
    assert own(plan(sort)) == [3, 40, 10]


def test_the_numbers_of_init_plans_are_not_mixed_up() -> None:
    scan = node("Seq Scan", ms=50, Filter="(x > $10) AND (InitPlan 10).col1", Parent_Relationship="Outer")
    other = node("Seq Scan", ms=45, Filter="(x > $1)", Parent_Relationship="Outer")
    made = plan(node("Append", init("InitPlan 2 (returns $1)", 40), scan, other, ms=96))
    assert own(made) == [1, 40, 50, 5]


def test_an_init_plan_in_a_parallel_part_runs_in_the_leader() -> None:
    scan = node("Seq Scan", ms=10, loops=2, Filter="(x > (InitPlan 1).col1)", Parent_Relationship="Outer")
    gather = node("Gather", scan, ms=52, Parent_Relationship="Outer")
    assert own(plan(node("Sort", init("InitPlan 1", 40), gather, ms=53))) == [1, 40, 2, 10]


def test_an_init_plan_that_nobody_mentions_belongs_to_its_node() -> None:
    scan = node("Seq Scan", ms=5, Parent_Relationship="Outer")
    assert own(plan(node("Limit", init("InitPlan 1 (returns $0)", 40), scan, ms=46))) == [1, 40, 5]


def test_a_cte_is_counted_once_for_all_its_readers() -> None:
    readers = [
        node("CTE Scan", ms=ms, CTE_Name="c", Parent_Relationship=side) for ms, side in ((3, "Outer"), (70, "Inner"))
    ]
    later = init("InitPlan 2 (returns $1)", 90, node("CTE Scan", ms=85, CTE_Name="c", Parent_Relationship="Outer"))
    readers[1]["Filter"] = "(x < $1)"
    readers[1]["Actual Total Time"] = 95
    made = plan(node("Hash Join", init("CTE c", 80), later, *readers, ms=100))
    assert own(made) == [2, 80, 5, 5, 3, 5]


def test_a_cte_that_nobody_reads_runs_after_the_rest() -> None:
    deleted = node("ModifyTable", ms=80, Subplan_Name="CTE d", Parent_Relationship="InitPlan")
    made = plan(node("Result", deleted, ms=0.002), Execution_Time=81.0)
    assert own(made) == [0.002, 80]
    assert kinds(made) == {2: ["slow"]}


def test_rounding_makes_no_parent_shorter_than_its_children() -> None:
    inner = node("Index Scan", ms=0.001, loops=50_000, Parent_Relationship="Inner")
    made = plan(node("Nested Loop", node("Seq Scan", ms=20, Parent_Relationship="Outer"), inner, ms=50))
    assert own(made) == [0, 20, 30]
    assert "± 25 ms" in sentence(made, "slow")


def test_what_never_ran_says_so() -> None:
    made = plan(node("Nested Loop", node("Seq Scan", ms=0, rows=0, loops=0, expected=9), ms=2))
    assert made.root.children[0].never_executed
    assert "9 → –" in str(made)
    assert "◄ never executed" in str(made)


def test_without_timing_the_shares_are_of_the_cost() -> None:
    made = plan({"Node Type": "Result", "Actual Rows": 3, "Actual Loops": 1, "Total Cost": 5.0, "Plan Rows": 3})
    assert made.analyzed
    assert not made.timed
    assert made.root.share == 1
    assert "3 → 3" in str(made)


@settings(deadline=None, max_examples=60)
@given(trees() | trees_with_init_plan())
def test_own_times_of_any_tree_are_what_each_node_truly_took(grown: Grown) -> None:
    made = plan(grown.document())
    nodes = list(made.root.walk())
    assert all((each.own_ms or 0) >= 0 for each in nodes)
    rounding = sum(each.rounding_ms for each in nodes)
    assert sum(each.own_ms or 0 for each in nodes) <= grown.elapsed_ms + rounding + 1e-6
    hidden = grown.init_plan.walk() if grown.init_plan else []
    for true, each in zip(grown.walk(), nodes, strict=True):
        asked = sum(nodes[grown.walk().index(plan)].rounding_ms for plan in hidden) if true.asks_for else 0
        assert each.own_ms == pytest.approx(true.own_ms, abs=2 * each.rounding_ms + asked + 1e-6)


@settings(deadline=None, max_examples=60)
@given(trees() | trees_with_init_plan())
def test_own_costs_of_any_tree_add_up_to_the_whole(grown: Grown) -> None:
    made = plan(grown.document())
    costs = [each.own_cost or 0 for each in made.root.walk()]
    assert min(costs) >= 0
    assert sum(costs) == pytest.approx(made.root.total_cost, rel=1e-6, abs=1e-6)


# ---- own costs


def test_the_inner_side_of_a_nested_loop_costs_as_often_as_it_runs() -> None:
    outer = node("Seq Scan", cost=10, expected=100, Parent_Relationship="Outer")
    inner = node("Index Scan", cost=0.5, expected=1, Parent_Relationship="Inner")
    made = plan(node("Nested Loop", outer, inner, cost=70, expected=100))
    assert [each.own_cost for each in made.root.walk()] == [10, 10, 50]


def test_a_limit_is_charged_for_what_it_takes() -> None:
    made = plan(
        node("Limit", node("Seq Scan", cost=1000, expected=10_000, Parent_Relationship="Outer"), cost=1, expected=10)
    )
    assert [each.own_cost for each in made.root.walk()] == [0, 1]


def test_a_hashed_subplan_costs_once() -> None:
    sub = node("Seq Scan", cost=10, expected=9, Subplan_Name="SubPlan 1", Parent_Relationship="SubPlan")
    hashed = node("Seq Scan", sub, cost=100, expected=50, Filter="(hashed SubPlan 1)")
    repeated = node("Seq Scan", sub, cost=1000, expected=50, Filter="(SubPlan 1)")
    assert [each.own_cost for each in plan(hashed).root.walk()] == [90, 10]
    assert [each.own_cost for each in plan(repeated).root.walk()] == [500, 500]


# ---- marks


def test_the_slowest_is_marked_with_its_share() -> None:
    made = plan(node("Sort", node("Seq Scan", ms=80, Parent_Relationship="Outer"), ms=90), Execution_Time=100.0)
    assert kinds(made) == {2: ["slow"]}
    assert made.root.children[0].marks[0].short == "slowest, 80%"
    assert sentence(made, "slow") == "takes 80 ms of 100 ms by itself, more than any other node."


@pytest.mark.parametrize(
    ("expected", "came", "says"),
    [
        (5, 12_000, "5 rows were expected, 12,000 came: 2,400× too few were expected."),
        (5000, 2, "5,000 rows were expected, 2 came: 2,500× too many were expected."),
        (5000, 0, "5,000 rows were expected, 0 came: 5,000× too many were expected."),
        (10, 100, "10 rows were expected, 100 came: 10× too few were expected."),
        (10, 99, None),
        (1, 0, None),
        (9, 0.01, None),  # a fraction of a row, from version 18 on
    ],
)
def test_an_estimate_is_marked_when_it_is_ten_times_off(expected: float, came: float, says: str | None) -> None:
    made = plan(node("Seq Scan", ms=0, rows=came, expected=expected, Relation_Name="t"))
    assert kinds(made) == ({1: ["estimate"]} if says else {})
    if says:
        assert sentence(made, "estimate").startswith(says)
        assert "ANALYZE" in sentence(made, "estimate")


def test_nodes_that_hand_on_their_childs_estimate_are_not_marked_again() -> None:
    scan = node("Seq Scan", ms=0, rows=5000, expected=5, Parent_Relationship="Outer")
    made = plan(
        node(
            "Gather",
            node("Sort", scan, ms=0, rows=5000, expected=5, Parent_Relationship="Outer"),
            ms=0,
            rows=5000,
            expected=5,
        )
    )
    assert kinds(made) == {3: ["estimate"]}


def test_rows_that_a_limit_left_behind_are_no_mistake() -> None:
    def limited(came: int, *, stop: str = "Limit") -> Plan:
        scan = node("Seq Scan", ms=0, rows=came, expected=9000, Parent_Relationship="Outer")
        return plan(node(stop, scan, ms=0, rows=came, expected=10))

    assert kinds(limited(10)) == {}
    assert kinds(limited(3)) == {2: ["estimate"]}  # it wanted more
    sorted_first = node(
        "Sort",
        node("Seq Scan", ms=0, rows=10, expected=9000, Parent_Relationship="Outer"),
        ms=0,
        rows=10,
        expected=9000,
        Parent_Relationship="Outer",
    )
    assert kinds(plan(node("Limit", sorted_first, ms=0, rows=10, expected=10))) == {3: ["estimate"]}


def test_too_few_expected_below_a_limit_is_a_mistake_still() -> None:
    scan = node("Seq Scan", ms=0, rows=500, expected=5, Parent_Relationship="Outer")
    assert kinds(plan(node("Limit", scan, ms=0, rows=500, expected=5))) == {2: ["estimate"]}


@pytest.mark.parametrize(
    ("parent", "side"),
    [
        (node("Nested Loop", Join_Type="Semi"), "Inner"),
        (node("Nested Loop", Join_Type="Inner", Inner_Unique=True), "Inner"),
        (node("Merge Join", Join_Type="Inner"), "Outer"),
        (node("Result"), "SubPlan"),
    ],
)
def test_what_may_be_stopped_early_is_not_blamed(parent: dict[str, Any], side: str) -> None:
    scan = node("Seq Scan", ms=0, rows=1, expected=1000, Parent_Relationship=side)
    assert (
        kinds(
            plan(
                node(
                    parent.pop("Node Type"),
                    scan,
                    ms=0,
                    **{key.replace(" ", "_"): value for key, value in parent.items()},
                )
            )
        )
        == {}
    )


def test_the_inner_side_of_a_merge_may_be_read_again() -> None:
    inner = node("Materialize", ms=0, rows=5000, expected=50, Parent_Relationship="Inner")
    assert kinds(plan(node("Merge Join", inner, ms=0))) == {}


def test_bitmap_and_counts_nothing() -> None:
    assert kinds(plan(node("BitmapAnd", ms=0, rows=0, expected=5000))) == {}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"Sort_Space_Type": "Disk", "Sort_Space_Used": 3000}, "wrote 3,000 kB"),
        ({"Workers": [{"Worker Number": 0, "Sort Space Type": "Disk", "Sort Space Used": 5}]}, "wrote 5 kB"),
        ({"Hash_Batches": 8}, "8 batches"),
        ({"Disk_Usage": 4096}, "wrote 4,096 kB"),
        ({"Storage": "Disk", "Maximum_Storage": 12}, "wrote 12 kB"),
        ({"Pre-sorted_Groups": {"Sort Space Disk": {"Peak Sort Space Used": 7}}}, "wrote 7 kB"),
    ],
)
def test_work_on_disk_is_marked(keys: dict[str, Any], says: str) -> None:
    made = plan(node("Sort", ms=0, **keys))
    assert kinds(made) == {1: ["disk"]}
    assert says in sentence(made, "disk")


def test_work_in_memory_is_not_marked() -> None:
    made = plan(node("Sort", ms=0, Sort_Space_Type="Memory", Sort_Space_Used=3000, Hash_Batches=1, Disk_Usage=0))
    assert kinds(made) == {}


def test_rows_read_for_nothing_are_marked() -> None:
    made = plan(node("Seq Scan", ms=0, loops=4, rows=10, Rows_Removed_by_Filter=9_990))
    assert sentence(made, "removed").startswith("read 40,000 rows to keep 40: its filter removed 99.90%.")
    few = node("Seq Scan", ms=0, rows=1, Rows_Removed_by_Filter=9_999)
    half = node("Seq Scan", ms=0, rows=50_000, Rows_Removed_by_Filter=50_000)
    assert kinds(plan(few)) == kinds(plan(half)) == {}


def test_other_marks() -> None:
    assert kinds(plan(node("Gather", ms=0, Workers_Planned=2, Workers_Launched=0))) == {1: ["workers"]}
    assert kinds(plan(node("Gather", ms=0, Workers_Planned=2, Workers_Launched=2))) == {}
    assert kinds(plan(node("Index Only Scan", ms=0, Heap_Fetches=20_000))) == {1: ["heap"]}
    assert kinds(plan(node("Bitmap Heap Scan", ms=0, Lossy_Heap_Blocks=5, Exact_Heap_Blocks=1))) == {1: ["lossy"]}


def test_marks_of_the_whole() -> None:
    trigger = {
        "Trigger Name": "RI_ConstraintTrigger_a_1",
        "Constraint Name": "fk",
        "Relation": "t",
        "Time": 60.0,
        "Calls": 9,
    }
    made = plan(node("Result", ms=1), Execution_Time=100.0, Triggers=[trigger], JIT={"Timing": {"Total": 30.0}})
    assert [mark.kind for mark in made.marks] == ["jit", "trigger"]
    assert "Trigger RI_ConstraintTrigger_a_1 for constraint fk on t took 60 ms of 100 ms in 9 calls." in str(made)
    assert "have the referring columns an index?" in str(made)


# ---- the drawings


def test_the_text() -> None:
    scan = node(
        "Seq Scan",
        ms=20,
        rows=100_000,
        expected=117_647,
        Parent_Relationship="Outer",
        Schema="public",
        Relation_Name="orders",
        Alias="o",
        Filter="(o.total > 5)",
        Rows_Removed_by_Filter=400,
    )
    index = node(
        "Index Scan", ms=0, rows=0, loops=0, expected=1, Parent_Relationship="Inner", Index_Name="i", Relation_Name="c"
    )
    join = node(
        "Nested Loop", scan, index, ms=30, rows=100_000, expected=99, Join_Type="Left", Parent_Relationship="Outer"
    )
    sort = node(
        "Sort",
        join,
        ms=95,
        rows=100_000,
        expected=99,
        Sort_Key=["o.a DESC", "o.b"],
        Sort_Method="external merge",
        Sort_Space_Type="Disk",
        Sort_Space_Used=5320,
    )
    made = plan(sort, Planning_Time=0.25, Execution_Time=100.0, Settings={"work_mem": "64kB"})
    assert str(made) == repr(made) == TEXT.strip("\n")


TEXT = """
Execution 100 ms · planning 0.25 ms

#  own ms   %    expected → came  loops
1   65.00  65       99 → 100,000      1  Sort ◄ slowest, 65% ◄ on disk
                                         │  Sort Key: o.a DESC, o.b
                                         │  Sort Method: external merge, Disk: 5,320 kB
2   10.00  10       99 → 100,000      1  └─ Nested Loop Left Join ◄ expected 1,010× too few
3   20.00  20  117,647 → 100,000      1     ├─ Seq Scan on public.orders o
                                            │     Filter: (o.total > 5)
                                            │     Rows Removed by Filter: 400
4       –                  1 → –      0     └─ Index Scan using i on c ◄ never executed

◄ 1 Sort: takes 65 ms of 100 ms by itself, more than any other node.
◄ 1 Sort: did not fit into memory and wrote 5,320 kB to temporary files. work_mem is what one such
  node may use.
◄ 2 Nested Loop Left Join: 99 rows were expected, 100,000 came: 1,010× too few were expected. Look
  below first; where the inputs were estimated well, it is how many rows match that was not known.
Settings: work_mem = 64kB
"""


def test_the_text_of_a_plan_that_was_not_run() -> None:
    made = plan(
        node("Sort", node("Seq Scan", cost=75, expected=1000, Parent_Relationship="Outer"), cost=100, expected=1000)
    )
    assert str(made) == (
        "Not executed · estimated cost 100\n\n"
        "#  own cost   %   rows\n"
        "1     25.00  25  1,000  Sort\n"
        "2     75.00  75  1,000  └─ Seq Scan"
    )


def test_a_very_deep_plan_stays_narrow() -> None:
    root = node("Seq Scan", ms=1, Relation_Name="the_end")
    for _ in range(200):
        root = node("Subquery Scan", root, ms=1, Alias="a" * 60, Filter="x AND " * 300, Parent_Relationship="Subquery")
    lines = str(plan(root)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "Seq Scan on the_end" in "\n".join(lines)


@settings(deadline=None, max_examples=60)
@given(trees() | trees_with_init_plan())
def test_the_text_of_any_plan_is_bounded_and_moves_no_cursor(grown: Grown) -> None:
    text = str(plan(grown.document(), Execution_Time=5.0, Settings=grown.json))
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(len, text.split("\n"))) <= WIDTH + 20


def test_nodes_and_frame_hold_all_that_the_server_said() -> None:
    made = plan(
        node(
            "Sort",
            node("Seq Scan", ms=1, expected=7, Output=["a"], Parent_Relationship="Outer"),
            ms=2,
            Odd=[1, {"x": 2}],
        )
    )
    assert made.nodes[0]["properties"]["Odd"] == [1, {"x": 2}]
    assert "Odd: 1, (x: 2)" in str(made)
    frame = made.frame()
    assert list(frame.index) == [1, 2]
    assert frame.loc[2, "parent"] == 1
    assert frame.loc[2, "own_ms"] == 1
    assert frame.loc[2, "properties"] == made.nodes[1]["properties"]


def test_a_node_is_found_by_its_number() -> None:
    made = plan(node("Sort", node("Seq Scan", ms=1, Parent_Relationship="Outer"), ms=2))
    assert [repr(each) for each in made.root.walk()] == ["<PlanNode 1: Sort>", "<PlanNode 2: Seq Scan>"]
    assert isinstance(made.root, PlanNode)
