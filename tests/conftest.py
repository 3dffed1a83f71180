"""What every test shares: few threads, no downloads, GPU tests only where there is a GPU. No seed is set here."""

from __future__ import annotations

import gc
import os

import pytest

# Before torch is imported anywhere, and inherited by the processes that tests start. Workers share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
if "HIGGS_TEST_CORES" in os.environ and hasattr(os, "sched_setaffinity"):  # as on a machine that has no more
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ["HIGGS_TEST_CORES"])])
os.environ.setdefault("MKL_NUM_THREADS", os.environ["OMP_NUM_THREADS"])
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HIGGS_KEEP", "0")  # what an earlier run computed proves nothing
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that reaches for the network fails at once


TIERS = ("system/comfyui", "system", "conformance", "component", "unit")


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis tries the same examples each time, so that a change is what makes a test fail; fewer without the slow
    tests. `--hypothesis-profile default` looks further."""
    from helpers_examples import QUICK, examples
    from hypothesis import settings

    if "not slow" in config.option.markexpr:
        os.environ[QUICK] = "1"
    if not config.getoption("hypothesis_profile", None):
        settings.register_profile("repeatable", max_examples=examples(100), derandomize=True, database=None)
        settings.load_profile("repeatable")


def pytest_collection_finish() -> None:
    """Thousands of tests stay until the end: the garbage collector need not look at them each time, nor at the modules
    of transformers as often as it would."""
    gc.freeze()
    gc.set_threshold(5000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that two processes end together: files with a server and a browser, then other
    real surroundings, at last the short files of the units."""
    tests = config.rootpath / "tests"
    items.sort(key=lambda item: next((n for n, tier in enumerate(TIERS) if tests / tier in item.path.parents), 0))
    wanting = [item for item in items if item.get_closest_marker("gpu")]
    if not wanting:
        return
    import torch

    if not torch.cuda.is_available():
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason="no CUDA GPU here"))


@pytest.fixture(scope="module")
def one_thread():
    """Networks this small lose time to a second thread, and much of it on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def runtime():
    """The runtime as the pack under test has it."""
    from helpers_workflow import pack_module

    return pack_module()


@pytest.fixture
def handles():
    """The handles of models in the pack under test, whose nodes are loaded."""
    from helpers_workflow import node_classes, node_module

    node_classes()
    return node_module("host.handles")


@pytest.fixture(scope="session")
def ears():
    """A speech recognizer, loaded once; see helpers_ears."""
    from helpers_ears import Ears

    return Ears()


@pytest.fixture
def hub(monkeypatch):
    """A hub of model repositories on this computer; see helpers_hub."""
    from helpers_hub import local_hub

    with local_hub(monkeypatch) as hub:
        yield hub
