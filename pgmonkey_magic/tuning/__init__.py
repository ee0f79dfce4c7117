"""How large should a pool be, what will a change do, and does the server have room for it? No widgets, no IPython.

sizing   the arithmetic of queues
plan     settings asked for → a validated change, and what takes effect when
audit    a configuration against the limits of its server
"""

from pgmonkey_magic.tuning.audit import TOO_SMALL, Budget, Finding, audit, budget
from pgmonkey_magic.tuning.plan import Change, Plan, plan
from pgmonkey_magic.tuning.sizing import (
    busy_connections,
    closed_load_wait,
    erlang_c,
    mean_wait,
    self_deadlock_minimum,
    wait_quantile,
)

__all__ = [
    "TOO_SMALL",
    "Budget",
    "Change",
    "Finding",
    "Plan",
    "audit",
    "budget",
    "busy_connections",
    "closed_load_wait",
    "erlang_c",
    "mean_wait",
    "plan",
    "self_deadlock_minimum",
    "wait_quantile",
]
