"""Plans: a statement → EXPLAIN (FORMAT JSON) → `Plan`, a tree that says what each node took and where to look.

explain.py   statement → command        titles.py    a node's keys → its name in text EXPLAIN
nodes.py     JSON → Plan, PlanNode      details.py   a node's keys → the lines under it
shares.py    own time, own cost         marks.py     slow, misestimated, on disk …
text.py      Plan → text; the HTML is notebook/plan_view.py
"""

from pgmonkey_magic.results.plan.explain import explain_command, explain_prefix
from pgmonkey_magic.results.plan.marks import Mark
from pgmonkey_magic.results.plan.nodes import Plan, PlanNode, read_plans

__all__ = ["Mark", "Plan", "PlanNode", "explain_command", "explain_prefix", "read_plans"]
