"""The pack's own socket types, and the menu they are found under."""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "Higgs Audio"

Model = io.Custom("HIGGS_MODEL")  # host.handles.ModelHandle
Codec = io.Custom("HIGGS_CODEC")  # host.handles.ModelHandle
Voice = io.Custom("HIGGS_VOICE")  # higgs_runtime.Voice
Prompt = io.Custom("HIGGS_PROMPT")  # list of higgs_runtime.Message
Script = io.Custom("HIGGS_SCRIPT")  # higgs_runtime.Script
Performance = io.Custom("HIGGS_PERFORMANCE")  # higgs_runtime.Performance
Cast = io.Custom("HIGGS_CAST")  # mapping of speakers to higgs_runtime.Voice
Codes = io.Custom("HIGGS_CODES")  # higgs_runtime.Codes
Words = io.Custom("HIGGS_WORDS")  # list of higgs_runtime.types.WordTime
