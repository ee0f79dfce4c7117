"""What a live panel costs: `python tests/benchmarks/panel.py --minutes 60`.

A pool of 8 under a steady load, with the occupancy panel ticking and sending its picture. Prints, every few minutes,
the memory of the process (resident MiB), how many objects Python holds, and how much of one core the process has used,
the load's own work included; `--without` leaves the panel out.
"""

from __future__ import annotations

import argparse
import gc
import random
import threading
import time

import psutil
from psycopg.conninfo import conninfo_to_dict

from pgmonkey_magic import PGConnectionManager
from pgmonkey_magic.demo.cluster import Cluster

WORKERS, PAUSE_S, HOLD_S = 10, 0.5, 0.02


def work(pool: object, over: threading.Event, seed: int) -> None:
    """Borrow, hold, give back, until it is over."""
    chance = random.Random(seed)
    while not over.wait(chance.expovariate(1 / PAUSE_S)):
        with pool as conn:  # type: ignore[attr-defined]
            conn.execute("SELECT pg_sleep(%s)", [HOLD_S])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=5)
    parser.add_argument("--without", action="store_true")
    asked = parser.parse_args()
    with Cluster() as cluster:
        config = {
            "connection_settings": conninfo_to_dict(cluster.conninfo),
            "pool_settings": {"min_size": 2, "max_size": 8},
        }
        pool = PGConnectionManager().get_database_connection_from_dict(config, "pool")
        over = threading.Event()
        for seed in range(WORKERS):
            threading.Thread(target=work, args=(pool, over, seed), daemon=True).start()
        if not asked.without:
            from pgmonkey_magic.panels.occupancy import OccupancyPanel

            panel = OccupancyPanel(pool, "orders")  # type: ignore[arg-type]
            panel.start()
        process = psutil.Process()
        print("| minutes | resident MiB | Python objects | % of a core |\n|---|---|---|---|")
        began_at = time.monotonic()
        while (minutes := (time.monotonic() - began_at) / 60) < asked.minutes:
            used = sum(process.cpu_times()[:2])
            time.sleep(min(asked.every, asked.minutes - minutes) * 60)
            share = (sum(process.cpu_times()[:2]) - used) / (asked.every * 60) * 100
            gc.collect()
            minutes = (time.monotonic() - began_at) / 60
            resident = process.memory_info().rss / 2**20
            print(f"| {minutes:.0f} | {resident:.1f} | {len(gc.get_objects()):,} | {share:.2f} |", flush=True)
        over.set()


if __name__ == "__main__":
    main()
