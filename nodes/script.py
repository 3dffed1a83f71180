"""Script: who speaks what, in a text."""

from __future__ import annotations

from comfy_api.latest import io

from . import sockets
from .host import messages
from .host.schemas import node_schema

EXAMPLE = """\
# Scene: a quiet kitchen at night
[Anna] Who is there? [pause 0.8s] Hello?
[Bob] [overlap 0.2s] It is only me.

The clock strikes twelve.
"""


class HiggsScript(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            node_id="HiggsScript",
            display_name="Script",
            category=f"{sockets.CATEGORY}/script",
            search_aliases=["dialogue", "screenplay", "scene editor", "multi speaker"],
            description="Reads a script: speakers, pauses, settings of single turns, scenes, sounds and music. "
            "Errors say the line and column.",
            inputs=[
                io.String.Input(
                    "text",
                    default=EXAMPLE,
                    multiline=True,
                    tooltip="[Name] or Name: begins a turn; without one the narrator speaks. Help has all forms.",
                ),
            ],
            outputs=script_outputs(),
        )

    @classmethod
    def execute(cls, text) -> io.NodeOutput:
        from ..higgs_runtime import parse_script

        return output_of(parse_script(text))


def script_outputs() -> list[io.Output]:
    return [
        sockets.Script.Output(display_name="script", tooltip="The turns, with cues and scenes."),
        io.String.Output(
            display_name="report", tooltip="Turns by number, speakers, scenes, cues, and warnings with line:column."
        ),
        io.String.Output(
            display_name="texts",
            is_output_list=True,
            tooltip="A list: what each turn says. For nodes that work on one text after another, as ChatML Prompt.",
        ),
        io.String.Output(
            display_name="speakers",
            is_output_list=True,
            tooltip="A list: who speaks each of the texts; empty for the narrator.",
        ),
    ]


def output_of(script) -> io.NodeOutput:
    """A Script, its report, and its turns as lists; the warnings stand on the node."""
    from ..higgs_runtime.script import describe_script

    messages.show_warnings(map(str, script.warnings))
    turns = script.turns
    return io.NodeOutput(
        script, describe_script(script), [turn.text for turn in turns], [turn.speaker for turn in turns]
    )
