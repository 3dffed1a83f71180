"""What the page asks for, all below /higgs/, a file a subject. ComfyUI's rule of one origin holds.

    GET  /higgs/clips/<name>, /higgs/voices/<name>    a sound to play
    GET  /higgs/peaks?kind=…&name=…&points=512        its outline; kind: input, output, temp, clip or voice
    GET  /higgs/quality?kind=…&name=…&start=0&duration=0   how good it is as a reference, a minute of it at most
    GET  /higgs/takes?line=<key of a line>            what is known of its takes
    GET  /higgs/takes/<key>                           a take as FLAC; the header X-Loudness-LUFS says how loud it is
    POST /higgs/takes/<key>/lock, …/unlock
    POST /higgs/script/check                          turns, errors and warnings of a script (text)
    POST /higgs/script/mend?placement=lead            the same with the tags of v3 mended; gentle: another placement
    GET  /higgs/script/tags                           the tags of v3 by group, with what each does
    POST /higgs/script/lines                          what became of its lines in its last render
    POST /higgs/script/subtitles                      subtitles (SRT or WebVTT) as a script
    GET  /higgs/choices/<list>                        what stands behind the choices of a list: {choice: note}
    GET  /higgs/notice?checkpoint=<choice>            what is to be known of who speaks: the demonstration, a licence
    GET  /higgs/live?workflow=<id>                    live sounds that are kept of the workflow's nodes
    GET  /higgs/live/<prompt id>/<node id>?after=<n>  samples of one of them
    GET  /higgs/warnings?prompt=<id>                  what the nodes of a prompt warned of, by their ids

What is refused is JSON, {"error": why}, with a status from 400 on. No name leads out of its folder; bodies have an end.
"""

from __future__ import annotations

from . import choices, live, scripts, sounds, takes
from .answers import answering


def serve(routes) -> None:
    """Adds the routes to aiohttp's table; None (the nodes alone, without a server): none."""
    if routes is None:
        return
    for subject in (sounds, takes, scripts, choices, live):
        for path, handler in subject.GET.items():
            routes.get(path)(answering(handler))
        for path, handler in subject.POST.items():
            routes.post(path)(answering(handler))
