"""All that the pack knows about ComfyUI, a file a subject. Other files of nodes/ import only `comfy_api`."""
