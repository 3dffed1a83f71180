"""What a stage must have reached before hours go into the next one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from higgs_runtime import Codes, Sampling, Voice, build_prompt, generate
from higgs_runtime.model import ChatTokenizer
from higgs_runtime.prompt import conversation

from .codes import WordCodes, encode, heard_sentences, load_trained
from .corpus import held_out_sentences
from .encoder_stage import MEL_STEPS, MELS, Heads, Spectra, phone_names
from .judge import Recognizer, interval, word_errors
from .lm_stage import new_model
from .speech import HOP, RATE, Word, lay_out
from .vocabulary import write_tokenizer

SENTENCES = 24


@torch.no_grad()
def encoder_gate(folder: Path, lexicon: dict[str, dict[str, Word]]) -> bool:
    """Phones told by the first codebook alone (goal 0.95), and words heard in the spectrum of all codebooks.

    Griffin-Lim makes sound of the predicted mel spectrum for the second (goal: floor + 0.1).
    """
    codec, phones = load_trained(folder / "encoder.pt"), phone_names(lexicon)
    trained = torch.load(folder / "encoder.pt", weights_only=True)
    heads = Heads(len(phones)).eval()
    heads.load_state_dict(trained["heads"])
    levels, right, frames, errors, floors = codec.module.quantizer.quantizers, 0, 0, [], []
    ears = Recognizer()
    for number, text in enumerate(held_out_sentences(SENTENCES)):
        wave, names = lay_out(text, lexicon[list(lexicon)[number % len(lexicon)]])
        codes = encode(codec, wave)
        parts = [level.project_in(level.decode(codes[k][None])) for k, level in enumerate(levels)]
        told = heads.phone(parts[0]).argmax(1)[0]
        right += sum(phones[index] == name for index, name in zip(told.tolist(), names, strict=True))
        frames += len(names)
        spectrum = (heads.spectrum(sum(parts)) + trained["mean"])[0, : MELS * MEL_STEPS]
        errors.append(word_errors(text, ears.hear(griffin_lim(spectrum), RATE)))
        floors.append(word_errors(text, ears.hear(wave, RATE)))
    print(f"encoder: phones told by codebook 0 {right / frames:.3f} (goal 0.95)", flush=True)
    (wer, *_), (floor, *_) = (interval(*np.array(found).T) for found in (errors, floors))
    print(f"encoder: WER of Griffin-Lim from the codes {wer:.3f}, floor {floor:.3f} (goal floor + 0.1)", flush=True)
    return right / frames >= 0.95 and wer <= floor + 0.1


@torch.no_grad()
def lm_gate(folder: Path, lexicon: dict[str, dict[str, Word]]) -> bool:
    """How many frames of held-out sentences get the right entry of the first codebook, reference given (goal 0.90).

    Looks at the finished model, or at what the running training last saved.
    """
    file = folder / "lm.pt"
    model = new_model().eval()
    model.load_state_dict(torch.load(file if file.is_file() else folder / "lm_run.pt", weights_only=True)["model"])
    write_tokenizer(folder / "tokenizer")
    tokenizer = ChatTokenizer(folder / "tokenizer", model.config)
    words, heard = WordCodes.load(folder, lexicon), heard_sentences(folder, lexicon)
    right, frames, whole, ended = 0, 0, 0, 0
    for number, text in enumerate(held_out_sentences(SENTENCES)):
        speaker = list(lexicon)[number % len(lexicon)]
        reference = [item for item in heard if item.speaker == speaker][number]
        voice = Voice(Codes(reference.codes, RATE / HOP, model.config.codebook_size), transcript=reference.text)
        wanted = words.sentence(text, speaker)[0]
        prompt = build_prompt(conversation(text, [voice]), tokenizer)
        take = generate(model, [prompt], Sampling(temperature=0.0, max_frames=2 * len(wanted)))[0]
        made = take.codes.ids[0]
        common = min(len(made), len(wanted))
        right += int((made[:common] == wanted[:common]).sum())
        frames += max(len(made), len(wanted))
        whole += torch.equal(made, wanted)
        ended += take.finish_reason == "stop"
    print(
        f"lm: first codebook right on {right / frames:.3f} of the frames (goal 0.90); of {SENTENCES} sentences "
        f"{whole} without an error, {ended} ended by themselves",
        flush=True,
    )
    return right / frames >= 0.90


def griffin_lim(spectrum: torch.Tensor) -> np.ndarray:
    """Predicted log mel columns [MELS * MEL_STEPS, F] -> samples."""
    import torchaudio

    mel = spectrum.t().reshape(-1, MELS).exp().sub(1e-3).clamp_min(0)
    magnitude = (mel @ torch.linalg.pinv(Spectra().filters)).clamp_min(0)
    make = torchaudio.transforms.GriffinLim(n_fft=1024, hop_length=HOP // MEL_STEPS, power=1.0, n_iter=32)
    return make(magnitude.t()).numpy()
