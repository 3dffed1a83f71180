"""A script over the machines of a Ray cluster. parts: what is handed out · worker: who speaks · keeper: takes without a
shared folder · crew: workers that come and go · connect: to Ray · render: all of it · apart, program, job: the same in
a process of its own.
"""

from .apart import render_apart
from .crew import CrewStatus
from .parts import Part, Parts
from .render import ClusterSettings, render_on_cluster
from .worker import Engine, Listening

__all__ = ["ClusterSettings", "CrewStatus", "Engine", "Listening", "Part", "Parts", "render_apart",
           "render_on_cluster"]
