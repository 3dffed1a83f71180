"""Nodes, put beside the pack in the tests' server: lists, and a loop as the host and other packs have it."""

from __future__ import annotations

import json

from comfy_execution.graph_utils import GraphBuilder, is_link


class Any(str):
    """A socket that goes with every other."""

    def __ne__(self, _):
        return False


ANY = Any("*")


class TestList:
    """A list: of JSON, or of what is connected."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_IS_LIST = "test", "make", (ANY,), (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"items": ("STRING", {"default": "[]"})}, "optional": dict.fromkeys("abc", (ANY, {}))}

    def make(self, items, **connected):
        return ([*json.loads(items), *connected.values()],)


class TestBatch:
    """AUDIOs as one with several clips in it, as short as the shortest."""

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": dict.fromkeys("ab", ("AUDIO", {}))}

    def make(self, a, b):
        import torch

        length = min(one["waveform"].shape[-1] for one in (a, b))
        return ({**a, "waveform": torch.cat([one["waveform"][..., :length] for one in (a, b)])},)


class TestLoop:
    """Runs the nodes of a body once for each of two texts, under ids of the executor's own; gives both AUDIOs of its
    last node as one.

    The body hangs on no output of the graph, so that it does not run by itself.
    """

    CATEGORY, FUNCTION, RETURN_TYPES = "test", "loop", (ANY,)

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": dict.fromkeys(("texts", "body"), ("STRING", {})),
            "hidden": {"prompt": "DYNPROMPT"},
        }

    def loop(self, texts, body, prompt):
        graph, inside = GraphBuilder(), json.loads(body)
        ends = graph.node("TestBatch", "ends")
        for number, text in enumerate(json.loads(texts)):
            copies = {}
            for name in inside:
                copies[name] = graph.node(prompt.get_node(name)["class_type"], f"{number}_{name}")
                copies[name].set_override_display_id(name)
            for name in inside:
                for key, given in prompt.get_node(name)["inputs"].items():
                    if is_link(given) and given[0] in copies:
                        given = copies[given[0]].out(given[1])
                    copies[name].set_input(key, text if key == "text" else given)
            ends.set_input("ab"[number], copies[inside[-1]].out(0))
        return {"result": (ends.out(0),), "expand": graph.finalize()}


NODE_CLASS_MAPPINGS = {one.__name__: one for one in (TestList, TestBatch, TestLoop)}
