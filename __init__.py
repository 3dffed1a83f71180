"""ComfyUI-Higgs: Higgs Audio in ComfyUI. ComfyUI calls `comfy_entrypoint`; importing this file imports nothing else."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import HiggsExtension, routes
    from .nodes.host import messages

    routes.serve(messages.http_routes())
    return HiggsExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
