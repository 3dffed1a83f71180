"""The nodes of the pack, one file a stage."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .assemble import HiggsAssemble
from .audio_picture import HiggsAudioPicture
from .captions import HiggsCaptions
from .chatml_prompt import HiggsChatMLPrompt
from .combine_voices import HiggsCombineVoices
from .convert_codec import HiggsConvertCodec
from .convert_model import HiggsConvertModel
from .decode_codes import HiggsDecodeCodes
from .director import HiggsDirector
from .download_model import HiggsDownloadModel
from .duck_audio import HiggsDuckAudio
from .edit_speech import HiggsEditSpeech
from .encode_audio import HiggsEncodeAudio
from .export_audio import HiggsExportAudio
from .generate import HiggsGenerate
from .join_audio import HiggsJoinAudio
from .load_audio import HiggsLoadAudio
from .load_book import HiggsLoadBook
from .load_codec import HiggsLoadCodec
from .load_lora import HiggsLoadLoRA
from .load_model import HiggsLoadModel
from .load_subtitles import HiggsLoadSubtitles
from .load_voice import HiggsLoadVoice
from .loudness import HiggsLoudness
from .mix_audio import HiggsMixAudio
from .normalize_loudness import HiggsNormalizeLoudness
from .prepare_reference import HiggsPrepareReference
from .prepare_text import HiggsPrepareText
from .references_from_film import HiggsReferencesFromFilm
from .remote_model import HiggsRemoteModel
from .render_script import HiggsRenderScript
from .respeak import HiggsRespeak
from .save_voice import HiggsSaveVoice
from .script import HiggsScript
from .speak_on import HiggsSpeakOn
from .tempo_pitch import HiggsTempoPitch
from .verify_takes import HiggsVerifyTakes
from .voice import HiggsVoice
from .voice_chain import HiggsVoiceChain
from .word_times import HiggsWordTimes

NODES: list[type[io.ComfyNode]] = [
    HiggsLoadModel,
    HiggsLoadCodec,
    HiggsLoadAudio,
    HiggsEncodeAudio,
    HiggsVoice,
    HiggsChatMLPrompt,
    HiggsGenerate,
    HiggsDecodeCodes,
    HiggsMixAudio,
    HiggsJoinAudio,
    HiggsDuckAudio,
    HiggsVoiceChain,
    HiggsTempoPitch,
    HiggsDownloadModel,
    HiggsConvertModel,
    HiggsConvertCodec,
    HiggsLoadLoRA,
    HiggsRemoteModel,
    HiggsPrepareReference,
    HiggsCombineVoices,
    HiggsSaveVoice,
    HiggsLoadVoice,
    HiggsScript,
    HiggsLoadSubtitles,
    HiggsReferencesFromFilm,
    HiggsLoadBook,
    HiggsDirector,
    HiggsPrepareText,
    HiggsRenderScript,
    HiggsRespeak,
    HiggsAssemble,
    HiggsVerifyTakes,
    HiggsWordTimes,
    HiggsCaptions,
    HiggsEditSpeech,
    HiggsSpeakOn,
    HiggsLoudness,
    HiggsNormalizeLoudness,
    HiggsAudioPicture,
    HiggsExportAudio,
]


class HiggsExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
