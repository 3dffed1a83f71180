"""Stage C: the language model learns which codes follow which words, in the voice that it has just heard."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from higgs_runtime.model import ChatTokenizer, HiggsModel, ModelConfig
from higgs_runtime.model.config import parse_native_v2
from higgs_runtime.model.transformer import Routing

from .codes import WordCodes, heard_sentences
from .dialogues import GROUP, Dialogues, Example
from .speech import Word
from .state import Training, save_atomically, set_rate
from .vocabulary import token_id, tokens, write_tokenizer

CODEBOOKS, ENTRIES = 8, 1024
BEGIN, END = ENTRIES, ENTRIES + 1  # stream ids
WEIGHTS = torch.tensor([3.0, 1.5, 1.0, 1.0, 0.7, 0.7, 0.7, 0.7])  # of the codebooks in the loss
POSITIONS = 1800  # of a batch
RATE_PEAK = 1.5e-3
# Until this share of the steps: words of a line, how many of the examples are dialogues, factor on the learning rate.
# Which tag is which voice is learned late, from many short lines and with a rate as for something new.
CURRICULUM = (
    (0.04, 1, 0.25, 1),
    (0.07, 2, 0.25, 1),
    (0.13, 4, 0.25, 1),
    (0.19, 8, 0.25, 1),
    (0.48, 12, 0.25, 1),
    (0.55, 12, 0.75, 1),
    (0.6, 3, 0.9, 3),
    (0.64, 6, 0.85, 3),
    (0.7, 12, 0.6, 3),
    (0.8, 4, 0.9, 2.5),
    (1.0, 12, 0.8, 2.5),
)


def lm_config() -> dict:
    return {
        "model_type": "higgs_audio_v2",
        "architectures": ["HiggsAudioV2ForConditionalGeneration"],
        "vocab_size": len(tokens()),
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": False,
        "num_codebooks": CODEBOOKS,
        "codebook_size": ENTRIES + 2,
        "audio_stream_bos_id": BEGIN,
        "audio_stream_eos_id": END,
        "pad_token_id": token_id("<|end_of_text|>"),
        "bos_token_id": token_id("<|begin_of_text|>"),
        "eos_token_id": token_id("<|eot_id|>"),
        "audio_token_id": token_id("<|AUDIO_OUT|>"),
        "audio_bos_token_id": token_id("<|audio_out_bos|>"),
        "audio_delay_token_id": token_id("<|reserved_special_token_6|>"),
    }


def new_model(seed: int = 0) -> HiggsModel:
    config = parse_native_v2(lm_config())
    torch.manual_seed(seed)
    model = HiggsModel(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                weight.normal_(std=0.5 / math.sqrt(weight.shape[1]))
            if name.endswith(("attention.o.weight", "ffn.down.weight")):
                weight.div_(math.sqrt(2 * config.num_layers))
        model.text_embedding.weight.normal_(std=0.5)
        model.audio_embedding.weight.normal_(std=0.2)
    return model


def targets(rows: torch.Tensor) -> torch.Tensor:
    """Delayed rows of one clip [R, K] -> what is to be predicted, -100 where the schedule decides and not the model."""
    wanted = rows.masked_fill(rows == BEGIN, -100)
    count = torch.arange(rows.shape[1])
    ends = rows.shape[0] - rows.shape[1] + count  # codebook k meets its stream end here; what follows is held
    return wanted.masked_fill(torch.arange(rows.shape[0])[:, None] > ends, -100)


def clip_targets(example: Example) -> torch.Tensor:
    """Targets of all clips of a conversation [R, K]. A clip begins where all codebooks stand at stream-begin."""
    rows = example.prompt.audio_rows
    starts = torch.nonzero((rows == BEGIN).all(1)).flatten().tolist()
    clips = [rows[a:b] for a, b in zip(starts, [*starts[1:], len(rows)], strict=True)]
    return torch.cat([targets(clip) for clip in clips]).masked_fill(example.weights[:, None] == 0, -100)


def loss_of(model: HiggsModel, examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """(weighted loss, weighted cross entropy of each codebook in nats [K])."""
    config: ModelConfig = model.config
    prompts = sorted(examples, key=lambda example: -len(example.prompt.token_ids))
    ids = nn.utils.rnn.pad_sequence([example.prompt.token_ids for example in prompts], batch_first=True)
    rows = torch.cat([example.prompt.audio_rows for example in prompts])
    wanted = torch.cat([clip_targets(example) for example in prompts])
    weights = torch.cat([example.weights for example in prompts])
    mask = (ids == config.audio_token_id) | (ids == config.audio_delay_token_id)
    places = mask.flatten().nonzero().flatten()
    x = model.text_embedding(ids).flatten(0, 1).index_copy(0, places, model.embed_rows(rows)).view(*ids.shape, -1)
    hidden = model(x, Routing.from_mask(mask)).flatten(0, 1)
    kept = (wanted >= 0).any(1)
    logits = model.head(hidden[places[kept] - 1])
    each = functional.cross_entropy(logits.flatten(0, 1), wanted[kept].flatten(), ignore_index=-100, reduction="none")
    counts = weights[kept, None] * (wanted[kept] >= 0)
    mean = (each.view(-1, CODEBOOKS) * counts).sum(0) / counts.sum(0).clamp_min(1)
    return (WEIGHTS * mean).sum() / WEIGHTS.sum(), mean.detach()


def lesson(done: float) -> tuple[int, float, float]:
    """Words of a line, the share of dialogues, and the factor on the learning rate."""
    return next(lesson for share, *lesson in CURRICULUM if done <= share)


def train_lm(folder: Path, lexicon: dict[str, dict[str, Word]], steps: int) -> Path:
    """Train the language model. Returns the file with its weights."""
    finished = folder / "lm.pt"
    if finished.is_file():
        return finished
    model = new_model()
    write_tokenizer(folder / "tokenizer")
    tokenizer = ChatTokenizer(folder / "tokenizer", model.config)
    source = Dialogues(WordCodes.load(folder, lexicon), heard_sentences(folder, lexicon), tokenizer, seed=7)
    decayed = [weight for weight in model.parameters() if weight.ndim == 2]
    plain = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE_PEAK, betas=(0.9, 0.95), fused=True)
    training = Training("lm", folder / "lm_run.pt", steps, {"model": model, "optimizer": optimizer}, RATE_PEAK)

    def one_step(step: int, rate: float) -> dict[str, float]:
        words, dialogues, faster = lesson(step // GROUP * GROUP / steps)
        loss, each = loss_of(model, source.batch(step, words, POSITIONS, dialogues))
        set_rate(optimizer, rate * faster)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return {"words": words, "loss": loss.item(), "first": each[0].item(), "last": each[-1].item()}

    training.run(one_step)
    save_atomically({"model": model.state_dict()}, finished)
    return finished
