"""The settings of ducking, the same in every node that has it."""

from __future__ import annotations

from comfy_api.latest import io

DEFAULTS = {"attack": 0.15, "hold": 0.3, "release": 0.6, "look_ahead": 0.15, "threshold": 0.5}


def ducking_inputs(prefix: str = "", optional: bool = False) -> list[io.Input]:
    """Times and threshold; how far down it goes is an input of the node's own."""

    def seconds(name: str, low: float, high: float, tooltip: str) -> io.Input:
        return io.Float.Input(
            prefix + name, optional=optional, default=DEFAULTS[name], min=low, max=high, step=0.01, tooltip=tooltip
        )

    return [
        seconds("attack", 0.001, 10.0, "Seconds in which the bed goes down."),
        seconds(
            "hold", 0.0, 30.0, "Seconds that the bed stays down after the speech; shorter pauses do not bring it back."
        ),
        seconds("release", 0.001, 30.0, "Seconds in which the bed comes back."),
        seconds(
            "look_ahead",
            0.0,
            10.0,
            "Seconds before the speech at which the bed begins to go down; as long as "
            "the attack, it is down at the first word.",
        ),
        io.Float.Input(
            prefix + "threshold",
            optional=optional,
            default=DEFAULTS["threshold"],
            min=0.05,
            max=0.95,
            step=0.05,
            tooltip="Probability of speech from which it counts, 0.05 to 0.95. Music and noise, however loud, do not.",
        ),
    ]


def ducking(depth: float, values: dict, prefix: str = ""):
    """The Ducking that these inputs mean."""
    from ...higgs_runtime.audio.mix import Ducking

    one = {name: values.get(prefix + name, default) for name, default in DEFAULTS.items()}
    return Ducking(
        depth_db=depth,
        attack_s=one["attack"],
        hold_s=one["hold"],
        release_s=one["release"],
        look_ahead_s=one["look_ahead"],
        threshold=one["threshold"],
    )
