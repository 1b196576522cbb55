"""Batches of sentences to a trained translator."""

from collections.abc import Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchmetrics import MeanMetric

from lectern.errors import UserError
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model import networks
from lectern.tasks.translation.model.beam_search import Hypothesis, beam_search
from lectern.tasks.translation.model.loss import ChunkedCrossEntropy
from lectern.training.networks import build_network
from lectern.training.optimizers import one_cycle

NETWORKS = (networks.Seq2Seq, networks.Transformer)
WIDEST_BEAM = 32


class Translator(pl.LightningModule):
    """One of `networks` under cross-entropy with label smoothing (Szegedy et al. 2016, arXiv:1512.00567) and AdamW.

    `network` is `{class: Seq2Seq, ...its arguments}`. `teacher_forcing` is the share of steps in which the decoder is
    fed the right word and not its own (Bengio et al. 2015, arXiv:1506.03099); it goes to `teacher_forcing_end` in a
    straight line over the training.
    """

    def __init__(
        self,
        facts: dict,
        network: dict,
        learning_rate: float,
        weight_decay: float = 0.0,
        warm_up: float = 0.25,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
        teacher_forcing_end: float | None = None,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        self.network = build_network(network, NETWORKS, facts["vocabulary_size"])
        self.teaching = (teacher_forcing, teacher_forcing if teacher_forcing_end is None else teacher_forcing_end)
        check_teaching(self.network, self.teaching)
        self.validation = nn.ModuleDict({"loss": MeanMetric(), "accuracy": MeanMetric()})
        self.samples: tuple[Tensor, Tensor] | None = None
        self.resume_state: dict[str, Tensor] = {}
        self.step_metrics: dict[str, Tensor] = {}

    def training_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> Tensor:
        source, target, loss_weight = batch
        is_word = target[:, 1:] != PAD
        features = self.network(source, target[:, :-1], self.teacher_forcing())[is_word]
        loss, plain = ChunkedCrossEntropy.apply(
            features, self.network.embedding.weight, target[:, 1:][is_word], self.hparams.label_smoothing
        )
        padding = 1 - ((source != PAD).sum() + is_word.sum()) / (source.numel() + is_word.numel())
        self.step_metrics = {"loss": plain, "padding": padding}
        return loss * loss_weight

    def teacher_forcing(self) -> float:
        """The share of this step."""
        first, last = self.teaching
        if first == last:
            return first
        return first + (last - first) * self.trainer.global_step / self.steps

    def validation_step(self, batch: tuple[Tensor, Tensor, float], index: int) -> None:
        source, target, loss_weight = batch
        if loss_weight == 0:  # a pair that another rank counts
            return
        is_word = target[:, 1:] != PAD
        logits = self.network.logits(self.network(source, target[:, :-1])[is_word]).float()
        words = target[:, 1:][is_word]
        self.validation["loss"].update(F.cross_entropy(logits, words, reduction="none"))
        self.validation["accuracy"].update((logits.argmax(1) == words).float())
        if index == self.trainer.num_val_batches[0] // 2:  # of middle length
            self.samples = source[:3], target[:3]

    def on_validation_epoch_end(self) -> None:
        self.log_dict({f"validation_{name}": metric.compute() for name, metric in self.validation.items()})
        for metric in self.validation.values():
            metric.reset()

    def text_samples(self) -> dict[str, str]:
        """Three validation sentences, how they are translated (greedily) and how a person did."""
        if self.samples is None:
            return {}
        sources, targets = ([trim(ids) for ids in side.tolist()] for side in self.samples)
        found = [best[0].words for best in self.translate([[*ids, EOS] for ids in sources], beam=1)]
        texts = (self.decode(side) for side in (sources, found, targets))
        return {"translations": "\n\n".join("\n".join(three) for three in zip(*texts, strict=True))}

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(
            self.parameters(),
            self.hparams.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=self.hparams.weight_decay,
            fused=True,
        )
        self.steps = self.trainer.estimated_stepping_batches
        cycle = one_cycle(0, int(self.steps), self.hparams.warm_up, head_start=1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cycle)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def predict(
        self, prepared: list[list[int]], beam: int = 5, n_best: int = 1, length_penalty: float = 1.0
    ) -> list[list[tuple[str, float]]]:
        """The `n_best` translations of each prepared sentence, the best first, with their scores."""
        found = [translations[:n_best] for translations in self.translate(prepared, beam, n_best, length_penalty)]
        return [
            list(zip(self.decode([one.words for one in best]), [one.score for one in best], strict=True))
            for best in found
        ]

    def translate(
        self,
        prepared: list[list[int]],
        beam: int = 5,
        n_best: int = 1,
        length_penalty: float = 1.0,
        batch_size: int = 64,
    ) -> list[list[Hypothesis]]:
        """What `search` finds for each prepared sentence; those of like length are searched together."""
        check_search(beam, n_best)
        order = sorted(range(len(prepared)), key=lambda row: len(prepared[row]))
        longest = self.facts["prepare"]["max_length"]
        found = []
        for start in range(0, len(order), batch_size):
            rows = [torch.tensor(prepared[row]) for row in order[start : start + batch_size]]
            source = pad_sequence(rows, batch_first=True, padding_value=PAD).to(self.device)
            found += beam_search(self.network, source, beam, length_penalty, longest)
        return [translations for _, translations in sorted(zip(order, found, strict=True))]

    @torch.inference_mode()
    def attention(self, prepared: list[int], beam: int = 5) -> tuple[list[str], list[str], np.ndarray] | None:
        """Pieces read, pieces written, and where it looked (written, read); None where the network does not look."""
        written = self.translate([prepared], beam)[0][0].words
        source, words = (torch.tensor([ids], device=self.device) for ids in (prepared, [BOS, *written]))
        looks = self.network.attention(source, words)
        tokenizer = vocabulary.load(self.facts["tokenizer"])
        pieces = (vocabulary.pieces(tokenizer, ids) for ids in (prepared, [*written, EOS]))
        return None if looks is None else (*pieces, looks[0].float().cpu().numpy())

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """The texts that lists of ids stand for."""
        return vocabulary.decode(vocabulary.load(self.facts["tokenizer"]), ids)


def trim(ids: list[int]) -> list[int]:
    """The words of a padded row."""
    return [one for one in ids if one not in (PAD, BOS, EOS)]


def check_teaching(network: nn.Module, shares: Sequence[float]) -> None:
    """Raises UserError for a share that is none, and for own words from a network that cannot be fed them."""
    if not all(0 <= share <= 1 for share in shares):
        raise UserError(f"module.teacher_forcing is {list(shares)}; it is a share of the steps, from 0 to 1.")
    if min(shares) < 1 and not network.feeds_itself:
        raise UserError(
            f"module.teacher_forcing is {min(shares)}, but {type(network).__name__} writes all words at once and "
            "cannot be fed its own: leave it at 1.0."
        )


def check_search(beam: int, n_best: int) -> None:
    if not 1 <= beam <= WIDEST_BEAM:
        raise UserError(f"beam is {beam}; it must be from 1 (greedy) to {WIDEST_BEAM}.")
    if not 1 <= n_best <= beam:
        raise UserError(f"n_best is {n_best}; a beam of {beam} finds 1 to {beam}.")
