"""Train a translation network and translate with it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchmetrics import MeanMetric

from lectern.artifacts.dataset import Facts
from lectern.config import Fraction, NonNegativeFloat, PositiveFloat
from lectern.errors import UserError
from lectern.tasks.translation.data.format import vocabulary
from lectern.tasks.translation.data.format.vocabulary import BOS, EOS, PAD
from lectern.tasks.translation.model import networks
from lectern.tasks.translation.model.beam_search import Hypothesis, beam_search
from lectern.tasks.translation.model.encoder_decoder import EncoderDecoder
from lectern.tasks.translation.model.loader import Batch
from lectern.tasks.translation.model.loss import chunked_cross_entropy
from lectern.training.module import TrainableModule
from lectern.training.network_factory import build_network
from lectern.training.optimizers import one_cycle

NETWORKS = (networks.Seq2Seq, networks.Transformer)
MAX_BEAM = 32


class Translator(TrainableModule):
    """A translation network with label smoothing (Szegedy et al. 2016, arXiv:1512.00567), trained with AdamW.

    `network` is a section such as `{class: Seq2Seq, ...}` with the arguments of the class.

    `teacher_forcing` is the probability that the decoder reads the target token instead of its own prediction
    (scheduled sampling, Bengio et al. 2015, arXiv:1506.03099). If `teacher_forcing_end` is set, the probability changes
    linearly from `teacher_forcing` to `teacher_forcing_end` during the training.
    """

    warm_start_requires: ClassVar[Mapping[str, Sequence[str]]] = {
        "": ["facts.tokenizer", "network.class", "network.heads"]
    }
    network: EncoderDecoder

    def __init__(
        self,
        facts: Facts,
        network: dict[str, Any],
        learning_rate: PositiveFloat,
        weight_decay: NonNegativeFloat = 0.0,
        warm_up: Fraction = 0.25,
        label_smoothing: Fraction = 0.0,
        teacher_forcing: Fraction = 1.0,
        teacher_forcing_end: Fraction | None = None,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.facts = facts
        built = build_network(network, NETWORKS, facts["vocabulary_size"])
        assert isinstance(built, EncoderDecoder)
        self.network = built
        last = teacher_forcing if teacher_forcing_end is None else teacher_forcing_end
        self.teacher_forcing_range = (teacher_forcing, last)
        check_teacher_forcing(self.network, self.teacher_forcing_range)
        self.total_steps = 0.0  # number of optimizer steps, known when the training starts
        self.validation_metrics.update({"loss": MeanMetric(), "accuracy": MeanMetric()})
        self.sample_pairs: tuple[Tensor, Tensor] | None = None

    def training_step(self, batch: Batch, index: int) -> Tensor:
        source, target, loss_weight = batch
        is_token = target[:, 1:] != PAD
        features = self.network(source, target[:, :-1], self.current_teacher_forcing())[is_token]
        loss, plain = chunked_cross_entropy(
            features, self.network.embedding.weight, target[:, 1:][is_token], self.hparams["label_smoothing"]
        )
        padding = 1 - ((source != PAD).sum() + is_token.sum()) / (source.numel() + is_token.numel())
        self.step_metrics = {"loss": plain, "padding": padding}
        return loss * loss_weight

    def current_teacher_forcing(self) -> float:
        """Return the probability of teacher forcing at the current step."""
        first, last = self.teacher_forcing_range
        if first == last:
            return first
        return first + (last - first) * self.trainer.global_step / self.total_steps

    def validation_step(self, batch: Batch, index: int) -> None:
        source, target, loss_weight = batch
        if loss_weight == 0:  # the pair only fills up the batch; the pair is counted on another rank
            return
        is_token = target[:, 1:] != PAD
        logits = self.network.logits(self.network(source, target[:, :-1])[is_token]).float()
        tokens = target[:, 1:][is_token]
        self.validation_metric("loss").update(F.cross_entropy(logits, tokens, reduction="none"))
        self.validation_metric("accuracy").update((logits.argmax(1) == tokens).float())
        if index == int(self.trainer.num_val_batches[0]) // 2:  # sentences of medium length
            self.sample_pairs = source[:3], target[:3]

    def text_samples(self) -> dict[str, str]:
        """Return three validation sentences, each with its greedy translation and its reference."""
        if self.sample_pairs is None:
            return {}
        sources, targets = ([remove_special_tokens(ids) for ids in side.tolist()] for side in self.sample_pairs)
        hypotheses = self.translate([[*ids, EOS] for ids in sources], beam=1)
        translations = [best[0].tokens for best in hypotheses]
        texts = (self.decode(side) for side in (sources, translations, targets))
        return {"translations": "\n\n".join("\n".join(lines) for lines in zip(*texts, strict=True))}

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(
            self.parameters(),
            self.hparams["learning_rate"],
            betas=(0.9, 0.98),
            weight_decay=self.hparams["weight_decay"],
            fused=True,
        )
        self.total_steps = self.trainer.estimated_stepping_batches
        cycle = one_cycle(0, int(self.total_steps), self.hparams["warm_up"], head_start=1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cycle)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def predict(
        self, prepared: list[list[int]], beam: int = 5, n_best: int = 1, length_penalty: float = 1.0
    ) -> list[list[tuple[str, float]]]:
        """Return the `n_best` translations of each prepared sentence with their scores, the best first."""
        hypotheses = self.translate(prepared, beam, n_best, length_penalty)
        return [
            list(zip(self.decode([item.tokens for item in best]), [item.score for item in best], strict=True))
            for best in (sentence[:n_best] for sentence in hypotheses)
        ]

    def translate(
        self,
        prepared: list[list[int]],
        beam: int = 5,
        n_best: int = 1,
        length_penalty: float = 1.0,
        batch_size: int = 64,
    ) -> list[list[Hypothesis]]:
        """Run `beam_search` on prepared sentences. Each batch contains sentences of similar length."""
        check_beam(beam, n_best)
        order = sorted(range(len(prepared)), key=lambda row: len(prepared[row]))
        max_length = self.facts["prepare"]["max_length"]
        hypotheses: list[list[Hypothesis]] = []
        for start in range(0, len(order), batch_size):
            rows = [torch.tensor(prepared[row]) for row in order[start : start + batch_size]]
            source = pad_sequence(rows, batch_first=True, padding_value=PAD).to(self.device)
            hypotheses += beam_search(self.network, source, beam, length_penalty, max_length)
        return [sentence for _, sentence in sorted(zip(order, hypotheses, strict=True))]

    @torch.inference_mode()
    def attention(self, prepared: list[int], beam: int = 5) -> tuple[list[str], list[str], np.ndarray] | None:
        """Return the tokens of a prepared sentence, the tokens of its best translation, and the attention weights.

        The weights have the shape (target, source) and are the mean over layers and heads. Returns None for a network
        without attention.
        """
        translation = self.translate([prepared], beam)[0][0].tokens
        source, target = (torch.tensor([ids], device=self.device) for ids in (prepared, [BOS, *translation]))
        weights = self.network.attention_weights(source, target)
        if weights is None:
            return None
        tokenizer = vocabulary.load_tokenizer(self.facts["tokenizer"])
        source_tokens, target_tokens = (vocabulary.to_tokens(tokenizer, ids) for ids in (prepared, [*translation, EOS]))
        return source_tokens, target_tokens, weights.mean((1, 2))[0].float().cpu().numpy()

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each sequence of token ids."""
        return vocabulary.decode(vocabulary.load_tokenizer(self.facts["tokenizer"]), sequences)


def remove_special_tokens(ids: list[int]) -> list[int]:
    return [token for token in ids if token not in (PAD, BOS, EOS)]


def check_teacher_forcing(network: EncoderDecoder, probabilities: tuple[float, float]) -> None:
    """Raise UserError if a probability is below 1 and the network has no scheduled sampling."""
    if min(probabilities) < 1 and not network.supports_scheduled_sampling:
        raise UserError(
            f"module.teacher_forcing is {min(probabilities)}, but {type(network).__name__} predicts all tokens in "
            "parallel and cannot read its own predictions in training. Leave it at 1.0."
        )


def check_beam(beam: int, n_best: int) -> None:
    if not 1 <= beam <= MAX_BEAM:
        raise UserError(f"beam is {beam}; it must be from 1 (greedy search) to {MAX_BEAM}.")
    if not 1 <= n_best <= beam:
        raise UserError(f"n_best is {n_best}; with a beam of {beam} it must be from 1 to {beam}.")
