"""`higgs serve`: one model behind HTTP."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from functools import partial
from pathlib import Path

from ..devices import KINDS
from ..errors import MissingExtraError, SettingError
from .common import NAMING, add_models_dir, named

KEY, HOSTS = "HIGGS_API_KEY", "HIGGS_SERVE_HOSTS"  # environment variables
GRACE_S = 10  # for lines that speak when it is told to stop


def add(commands) -> None:
    serve = commands.add_parser("serve", help="serve a model over HTTP, as OpenAI's speech API")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this computer)")
    serve.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    serve.add_argument("--without-key", action="store_true",
                       help=f"let whoever reaches another address than this computer's in, without ${KEY}")
    serve.add_argument("--model", help=f"of the language model: {NAMING} (default: the first one, else the pack's)")
    serve.add_argument("--codec", help=f"of the codec: {NAMING} (default: the first one, else the pack's)")
    serve.add_argument("--name", help="of the model, for clients (default: its own)")
    serve.add_argument("--device", choices=KINDS, help="default: a GPU if there is one")
    serve.add_argument("--rows", type=int, default=8, help="lines that speak side by side (default: %(default)s)")
    serve.add_argument("--max-waiting", type=int, default=64,
                       help="requests that may wait for a row; more get 429 (default: %(default)s)")
    serve.add_argument("--max-seconds", type=float, default=60.0, help="of one answer (default: %(default)s)")
    serve.add_argument("--max-characters", type=int, default=4096, help="of a text (default: %(default)s)")
    serve.add_argument("--max-reference-seconds", type=float, default=30.0,
                       help="of the reference clips of a request (default: %(default)s)")
    serve.add_argument("--max-body-mb", type=float, default=16.0, help="of a request, in MB (default: %(default)s)")
    serve.add_argument("--max-held-mb", type=float, default=1000.0, help="of memory that all requests hold, in MB; "
                       "more get 429 (default: %(default)s)")
    serve.add_argument("--max-connections", type=int, default=512, help="at once; more get 503 (default: %(default)s)")
    serve.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                       help=f"also answer without a key under this name; or several in ${HOSTS} (default: none)")
    serve.add_argument("--positions", type=int, default=4096,
                       help="of a prompt with its answer; memory is set aside for ROWS of them (default: %(default)s)")
    serve.add_argument("--allow-folder", type=Path, action="append", default=[], metavar="FOLDER",
                       help="let clients name reference clips in this folder (default: none)")
    serve.add_argument("--allow-url", action="append", default=[], metavar="BEGINNING",
                       help="fetch reference clips for clients from URLs that begin so (default: none)")
    add_models_dir(serve)
    serve.set_defaults(run=_serve)


def _serve(args: argparse.Namespace) -> None:
    try:
        import uvicorn

        from ..serve.app import create_app
        from ..serve.connections import Connection
    except ImportError as error:
        raise MissingExtraError("The server", "serve", error.name or "fastapi") from error
    from ..catalog import default_pair, find_checkpoints, model_roots
    from ..codec import load_codec
    from ..devices import pick_device, pick_dtype
    from ..serve.engine import Engine
    from ..serve.limits import Limits
    from ..serve.voices import Voices
    from ..weights import load_model

    key, roots = os.environ.get(KEY) or None, model_roots(args.models_dir)
    _check_reach(args, key)
    limits = Limits(
        rows=args.rows, waiting=args.max_waiting, characters=args.max_characters, seconds=args.max_seconds,
        reference_seconds=args.max_reference_seconds, positions=args.positions,
        body_bytes=round(args.max_body_mb * 1e6), held_bytes=round(args.max_held_mb * 1e6),
        connections=args.max_connections, hosts=(args.host, *args.allow_host, *os.environ.get(HOSTS, "").split()),
        folders=tuple(args.allow_folder), addresses=tuple(args.allow_url),
    )
    found = find_checkpoints(roots)
    asked = {"lm": args.model, "codec": args.codec}
    lm, codec = default_pair(found, *(named(found, kind, name) if name else None for kind, name in asked.items()))
    device = args.device or pick_device()
    sys.stderr.write("\n".join(filter(None, (f"Loading {lm.title}{lm.extent} …", lm.licence))) + "\n")
    model = load_model(lm.path, device=device, dtype=pick_dtype(device))
    tokenizer = load_codec(codec.path, device=device)
    with Engine(model, tokenizer, limits, Voices(roots, tokenizer)) as engine:
        app = create_app(engine, args.name or lm.name, key)
        sys.stderr.write(f"Serving {args.name or lm.name} at http://{args.host}:{args.port}/v1\n")
        uvicorn.run(app, host=args.host, port=args.port, log_level="warning", server_header=False,
                    timeout_graceful_shutdown=GRACE_S, h11_max_incomplete_event_size=65_536, ws="none",
                    http=partial(Connection, limits=limits))
    if engine.failure is not None:
        raise engine.failure


def _check_reach(args: argparse.Namespace, key: str | None) -> None:
    """Other computers need a key, unless it was said that they need none."""
    try:
        here = ipaddress.ip_address(args.host).is_loopback
    except ValueError:
        here = args.host == "localhost"
    if not here and key is None and not args.without_key:
        raise SettingError(
            f"At {args.host} other computers can reach the server, and there is no key.", expected=f"a key in ${KEY}",
            got="none", remedy=f"Set {KEY}, listen at 127.0.0.1, or say --without-key.",
        )
