"""ComfyUI-Higgs: Higgs Audio in ComfyUI. ComfyUI calls `comfy_entrypoint`; importing this file imports nothing else."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import HiggsExtension, bridge, checkpoints, download_model, load_voice

    bridge.serve_sounds("clips", bridge.pack_clip)
    bridge.serve_sounds("voices", load_voice.preview)
    bridge.serve_notes({
        "lm": lambda: checkpoints.checkpoint_notes("lm"), "codec": lambda: checkpoints.checkpoint_notes("codec"),
        "releases": download_model.release_notes,
    })
    return HiggsExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
