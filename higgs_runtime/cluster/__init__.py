"""A script over the machines of a Ray cluster. parts: what is handed out · worker: who speaks · keeper: takes without a
shared folder · worker_pool: workers that come and go · connect: to Ray · render: all of it · child_process, program,
job: the same in a process of its own.
"""

from .child_process import render_in_child_process
from .parts import Part, Parts
from .render import ClusterSettings, render_on_cluster
from .worker import Engine, Listening
from .worker_pool import PoolStatus

__all__ = [
    "ClusterSettings",
    "PoolStatus",
    "Engine",
    "Listening",
    "Part",
    "Parts",
    "render_in_child_process",
    "render_on_cluster",
]
