"""ComfyUI-Higgs: Higgs Audio in ComfyUI. ComfyUI calls `comfy_entrypoint`; importing this file imports nothing else."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import HiggsExtension, bridge, choice_notes, load_voice

    bridge.serve_sounds("clips", bridge.pack_clip)
    bridge.serve_sounds("voices", load_voice.preview)
    choice_notes.serve(bridge.http_routes())
    return HiggsExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
