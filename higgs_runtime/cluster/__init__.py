"""A script over the machines of a Ray cluster. parts: what is handed out · worker: who speaks · keeper: takes without a
shared folder · worker_pool: workers that come and go · connect: to Ray · speaker: all of it · child_process, job: the
same in a process of its own.
"""

from .child_process import ChildProcessSpeaker
from .connect import ClusterSettings
from .parts import Part, Parts
from .speaker import ClusterSpeaker
from .worker import Engine, name_on_all_nodes
from .worker_pool import PoolStatus

__all__ = [
    "ChildProcessSpeaker",
    "ClusterSettings",
    "ClusterSpeaker",
    "Engine",
    "Part",
    "Parts",
    "PoolStatus",
    "name_on_all_nodes",
]
