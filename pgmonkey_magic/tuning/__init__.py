"""How large should a pool be, what will a change do, and does the server have room for it? No widgets, no IPython.

sizing        the arithmetic of queues
workload      what is asked of a pool, from its ledger
prediction    a size and a load → waits, with the formula's name, and a range (simulation)
comparing     a row of sizes, predicted beside measured
recommending  settings with their reasons; presets: those before any measurement
plan          settings asked for → a validated change, and what takes effect when
diffing       the change as text, to be shown
audit         a configuration against the limits of its server
lab/          loads and lessons on a real server
"""

from pgmonkey_magic.tuning.audit import TOO_SMALL, Budget, Finding, audit, budget
from pgmonkey_magic.tuning.comparing import Row, WhatIf, what_if
from pgmonkey_magic.tuning.diffing import yaml_diff
from pgmonkey_magic.tuning.plan import Change, Plan, plan
from pgmonkey_magic.tuning.prediction import Figures, Prediction, closed_load, predict
from pgmonkey_magic.tuning.presets import LIFECYCLES, PER_FLASK_WORKER, Lifecycle, StartingSize, fastapi_size
from pgmonkey_magic.tuning.recommending import Goal, Recommendation, goal_for, recommend, troubles
from pgmonkey_magic.tuning.sizing import (
    busy_connections,
    closed_load_wait,
    erlang_c,
    mean_wait,
    self_deadlock_minimum,
    smallest_size,
    wait_quantile,
)
from pgmonkey_magic.tuning.workload import Reading, Workload, lately, observed

__all__ = [
    "LIFECYCLES",
    "PER_FLASK_WORKER",
    "TOO_SMALL",
    "Budget",
    "Change",
    "Figures",
    "Finding",
    "Goal",
    "Lifecycle",
    "Plan",
    "Prediction",
    "Reading",
    "Recommendation",
    "Row",
    "StartingSize",
    "WhatIf",
    "Workload",
    "audit",
    "budget",
    "busy_connections",
    "closed_load",
    "closed_load_wait",
    "erlang_c",
    "fastapi_size",
    "goal_for",
    "lately",
    "mean_wait",
    "observed",
    "plan",
    "predict",
    "recommend",
    "self_deadlock_minimum",
    "smallest_size",
    "troubles",
    "wait_quantile",
    "what_if",
    "yaml_diff",
]
