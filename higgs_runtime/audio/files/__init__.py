"""Files of sound: read, written, encoded while it arrives, and exported with tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy_names import lazily

if TYPE_CHECKING:
    from .codecs import Chapter as Chapter, pyav as pyav
    from .export import (
        SYNTHETIC as SYNTHETIC,
        About as About,
        Provenance as Provenance,
        export_audio as export_audio,
        parse_chapters as parse_chapters,
        parse_tags as parse_tags,
    )
    from .filenames import file_names as file_names
    from .reading import (
        OPEN_LENGTH as OPEN_LENGTH,
        Unreadable as Unreadable,
        check_span as check_span,
        decoded_pieces as decoded_pieces,
        open_soundfile as open_soundfile,
        read_at as read_at,
        read_file as read_file,
        sound_length as sound_length,
        span as span,
    )
    from .streaming import MEDIA_TYPES as MEDIA_TYPES, StreamEncoder as StreamEncoder, file_bytes as file_bytes
    from .writing import (
        FFMPEG_FORMATS as FFMPEG_FORMATS,
        SOUNDFILE_FORMATS as SOUNDFILE_FORMATS,
        write_blocks as write_blocks,
        write_file as write_file,
    )
else:
    _HOMES = {
        "codecs": "Chapter pyav",
        "export": "SYNTHETIC About Provenance export_audio parse_chapters parse_tags",
        "filenames": "file_names",
        "reading": "OPEN_LENGTH Unreadable check_span decoded_pieces open_soundfile read_at read_file sound_length "
        "span",
        "streaming": "MEDIA_TYPES StreamEncoder file_bytes",
        "writing": "FFMPEG_FORMATS SOUNDFILE_FORMATS write_blocks write_file",
    }
    __getattr__ = lazily(__name__, _HOMES)
