"""`higgs serve`: one model behind HTTP."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from ..errors import MissingExtraError, SettingError
from .common import add_checkpoints, add_settings, check_requirements, chosen, loading_of, tell_what_speaks

KEY, HOSTS = "HIGGS_API_KEY", "HIGGS_SERVE_HOSTS"  # environment variables
LAST_PORT = 65_535
GRACE_S = 10  # for lines that speak when it is told to stop


def add(commands) -> None:
    serve = commands.add_parser("serve", help="serve a model over HTTP with OpenAI's speech API")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this computer)")
    serve.add_argument("--port", type=_port, default=8000, help="default: %(default)s")
    serve.add_argument(
        "--without-key",
        action="store_true",
        help=f"allow any --host without a key; otherwise only this computer is served without ${KEY}",
    )
    serve.add_argument("--name", help="name of the model for clients (default: its own)")
    _add_names(serve)
    serve.add_argument("--rows", type=int, default=8, help="lines spoken at the same time (default: %(default)s)")
    serve.add_argument(
        "--max-waiting",
        type=int,
        default=64,
        help="requests that may wait; further ones get 429 (default: %(default)s)",
    )
    serve.add_argument(
        "--max-seconds",
        type=float,
        default=60.0,
        help="maximum length of a take; a long text is spoken in several (default: %(default)s)",
    )
    serve.add_argument(
        "--max-characters", type=int, default=4096, help="maximum length of a text (default: %(default)s)"
    )
    serve.add_argument(
        "--max-reference-seconds",
        type=float,
        default=30.0,
        help="maximum length of a request's reference clips (default: %(default)s)",
    )
    serve.add_argument(
        "--max-body-mb", type=float, default=16.0, help="maximum size of a request, in MB (default: %(default)s)"
    )
    serve.add_argument(
        "--max-held-mb",
        type=float,
        default=1000.0,
        help="memory that all requests may hold, in MB; further ones get 429 (default: %(default)s)",
    )
    serve.add_argument(
        "--max-connections",
        type=int,
        default=512,
        help="connections at the same time; further ones get 503 (default: %(default)s)",
    )
    serve.add_argument(
        "--positions",
        type=int,
        default=4096,
        help="maximum positions of prompt and answer; memory is reserved for ROWS of them (default: %(default)s)",
    )
    _add_allowed(serve)
    add_checkpoints(serve)
    serve.set_defaults(run=_serve)


def _add_names(serve: argparse.ArgumentParser) -> None:
    """For clients that cannot be changed."""
    serve.add_argument(
        "--model-alias",
        action="append",
        default=[],
        metavar="NAME",
        help="further name of the model, for clients that ask for another, such as tts-1 (default: none)",
    )
    serve.add_argument(
        "--voice-alias",
        action="append",
        default=[],
        metavar="NAME=VOICE",
        help="further name of a voice, such as alloy=rose (default: none)",
    )
    serve.add_argument(
        "--default-voice",
        metavar="VOICE",
        help="voice of requests that name none; none: the model chooses one for each request (default: the first of "
        "the pack)",
    )
    serve.add_argument(
        "--prepare",
        action="store_true",
        help="prepare texts for the model, as scripts are, where a request does not say (default: the model reads "
        "what is written)",
    )
    serve.add_argument(
        "--recognizer",
        help="name or folder of the speech recognizer that finds words for timestamp_granularities (default: the first "
        "that knows the language)",
    )
    add_settings(serve, "silence_s")


def _add_allowed(serve: argparse.ArgumentParser) -> None:
    """What is refused unless it is named here."""
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help=f"host name to answer to without a key; several in ${HOSTS} (default: none)",
    )
    serve.add_argument(
        "--allow-folder",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="let clients name reference clips in this folder (default: none)",
    )
    serve.add_argument(
        "--allow-url",
        action="append",
        default=[],
        metavar="BEGINNING",
        help="fetch reference clips for clients from URLs that begin with this (default: none)",
    )
    serve.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin use the server, such as https://example.org; *: of any (default: none)",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"'{text}' is no port, which is 0 (any that is free) to {LAST_PORT}")
    return int(text)


def _alias(text: str) -> tuple[str, str]:
    """Name and voice of NAME=VOICE.

    Raises:
        SettingError: it is not written so.
    """
    name, equals, voice = text.partition("=")
    if not (name.strip() and equals and voice.strip()):
        raise SettingError(
            "This is no further name of a voice.",
            expected="NAME=VOICE, such as alloy=rose",
            got=f"'{text}'",
            remedy="See the voices with: higgs voices ls",
        )
    return name.strip(), voice.strip()


def _serve(args: argparse.Namespace) -> None:
    check_requirements()
    try:
        import uvicorn

        from ..serve.app import ModelNames, create_app
        from ..serve.connections import Connection
    except ImportError as error:
        raise MissingExtraError("The server", "serve", error.name or "fastapi") from error
    from ..codec import load_codec
    from ..hub import embedded_voices, model_roots
    from ..model import load_model
    from ..serve.engine import SpeechEngine
    from ..serve.limits import ServerLimits
    from ..serve.timestamps import WordFinder
    from ..serve.voices import Voices

    key, roots = os.environ.get(KEY) or None, model_roots(args.models_dir)
    _check_reach(args, key)
    limits = ServerLimits(
        rows=args.rows,
        waiting=args.max_waiting,
        characters=args.max_characters,
        seconds=args.max_seconds,
        silence_s=args.silence_s or None,
        prepare=args.prepare,
        reference_seconds=args.max_reference_seconds,
        positions=args.positions,
        body_bytes=round(args.max_body_mb * 1e6),
        held_bytes=round(args.max_held_mb * 1e6),
        connections=args.max_connections,
        hosts=(args.host, *args.allow_host, *os.environ.get(HOSTS, "").split()),
        folders=tuple(args.allow_folder),
        addresses=tuple(args.allow_url),
    )
    lm, codec = chosen(args)
    default = next(iter(embedded_voices()), "") if args.default_voice is None else args.default_voice
    aliases = dict(map(_alias, args.voice_alias))
    with _listening(args.host, args.port) as door:
        loading, port = loading_of(args, lm.path), door.getsockname()[1]
        tell_what_speaks(lm)
        sys.stderr.write(f"Loading {lm.title}{lm.extent} …\n")
        tokenizer = load_codec(codec.path, device=loading["device"])
        finder = WordFinder(args.recognizer, roots)
        voices = Voices(roots, tokenizer, "" if default == "none" else default, aliases)
        with SpeechEngine(load_model(lm.path, **loading), tokenizer, limits, voices) as engine:
            names = ModelNames(args.name or lm.name, tuple(args.model_alias))
            app = create_app(engine, names, key, args.allow_origin, finder)
            sys.stderr.write(f"Serving {args.name or lm.name} at http://{args.host}:{port}/v1\n")
            server = uvicorn.Server(
                uvicorn.Config(
                    app,
                    log_level="warning",
                    server_header=False,
                    timeout_graceful_shutdown=GRACE_S,
                    h11_max_incomplete_event_size=65_536,
                    ws="none",
                    http=partial(Connection, limits=limits),  # pyright: ignore[reportArgumentType] - it is only called
                )
            )
            logging.getLogger("uvicorn.error").addFilter(_in_one_line)  # behind Config, which sets up that logger
            with suppress(KeyboardInterrupt):  # it raises it again once all is closed
                server.run(sockets=[door])
    if engine.failure is not None:
        raise engine.failure


def _in_one_line(record: logging.LogRecord) -> bool:
    """A stream that was broken off on purpose is no crash: its reason, without a traceback."""
    from ..serve.answers import BrokenStream

    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BrokenStream):
        record.msg, record.args, record.exc_info = str(error), (), None
    return True


def _listening(host: str, port: int) -> socket.socket:
    """A socket at this address: before the model is loaded, so that a port that is taken is told at once. It does not
    listen yet: who asks meanwhile is refused, not kept waiting.

    Raises:
        SettingError: the address is taken, or not this computer's.
    """
    door = None
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        door = socket.socket(family, kind, number)
        if os.name == "posix":  # elsewhere it would let two have one port
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
    except OSError as error:
        if door is not None:
            door.close()
        raise SettingError(
            f"The server cannot listen at {host}, port {port}.",
            expected="an address of this computer and a free port",
            got=error.strerror or str(error),
            remedy="Name another one with --host or --port, or end what uses it.",
        ) from error
    return door


def _check_reach(args: argparse.Namespace, key: str | None) -> None:
    """Other computers need a key, unless it was said that they need none."""
    try:
        here = ipaddress.ip_address(args.host).is_loopback
    except ValueError:
        here = args.host == "localhost"
    if not here and key is None and not args.without_key:
        raise SettingError(
            f"At {args.host} other computers can reach the server, and there is no key.",
            expected=f"a key in ${KEY}",
            got="none",
            remedy=f"Set {KEY}, listen at 127.0.0.1, or say --without-key.",
        )
