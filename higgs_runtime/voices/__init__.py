"""Voices: the library of saved ones, and how a recording becomes a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_names import lazily

if TYPE_CHECKING:
    from .joined import Piece as Piece, joined_reference as joined_reference
    from .library import (
        VoiceCard as VoiceCard,
        describe_voice as describe_voice,
        find_voices as find_voices,
        load_voice as load_voice,
        save_voice as save_voice,
        voice_path as voice_path,
    )
    from .quiet_end import crossfaded as crossfaded, own_quiet as own_quiet
    from .reference import (
        encode_reference as encode_reference,
        inspect_reference as inspect_reference,
        judged_reference as judged_reference,
        prepare_reference as prepare_reference,
    )
    from .resolve import (
        has_all_words as has_all_words,
        is_built_in as is_built_in,
        is_voice_file as is_voice_file,
        load_source as load_source,
        no_words as no_words,
        reference_codes as reference_codes,
        saved_voice as saved_voice,
        transcript_of as transcript_of,
        voice_files as voice_files,
        voice_source as voice_source,
    )
else:
    _HOMES = {
        "joined": "Piece joined_reference",
        "library": "VoiceCard describe_voice find_voices load_voice save_voice voice_path",
        "quiet_end": "crossfaded own_quiet",
        "reference": "encode_reference inspect_reference judged_reference prepare_reference",
        "resolve": "has_all_words is_built_in is_voice_file load_source no_words reference_codes saved_voice "
        "transcript_of voice_files voice_source",
    }
    __getattr__ = lazily(__name__, _HOMES)
