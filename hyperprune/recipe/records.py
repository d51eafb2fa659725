"""The sections of a recipe as frozen, validated records: what may be said, and its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)

from hyperprune.plugins.defaults import INIT_SCALE, NAMES, InitScale
from hyperprune.recipe.domain import Domain
from hyperprune.recipe.section import Choice, PluginSection, Section
from hyperprune.search.goal import Goal
from hyperprune.terms.blocks import EACH, LARGEST, PATTERN, block_name
from hyperprune.terms.bytes import PATTERN as BYTES_PATTERN
from hyperprune.terms.bytes import bytes_name

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1, le=10**6)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

Block: TypeAlias = Annotated[
    str,
    BeforeValidator(block_name),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": PATTERN},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1, "maximum": LARGEST},
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        }
    ),
]
"""What masks come in, in its one spelling."""

Bytes: TypeAlias = Annotated[
    str,
    BeforeValidator(bytes_name),
    WithJsonSchema({"type": "string", "pattern": BYTES_PATTERN}),
]
"""A size in bytes as people write it."""

PLUGIN_SECTIONS = {
    "data": ("corpus", "corpus"),
    "task": ("name", "task"),
    "model": ("name", "model"),
}
"""Sections whose other keys are a plugin's options: the key that names it, and its kind."""
CHOICES = {
    "prune": ("init", "removal", "growth", "redistribution", "schedule"),
    "spectrum": ("distance",),
    "search": ("searcher", "objective", "executor"),
}
"""Keys that choose a plugin; each is named after its kind."""


class Data(PluginSection):
    """Which text; other keys go to the corpus plugin."""

    corpus: str = NAMES["corpus"]
    root: str | None = Field(default=None, description="where corpora lie; also HYPERPRUNE_DATA")
    train_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="leading share of the training text"
    )
    eval_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="leading share of the validation and of the test text"
    )


class Task(PluginSection):
    """What the network is trained for; other keys go to the task plugin."""

    name: str = NAMES["task"]


class Model(PluginSection):
    """Which network; other keys go to the model plugin."""

    name: str = NAMES["model"]


class Train(Section):
    """How one network is trained, dense or sparse."""

    epochs: Positive = Field(default=100, description="the full training budget")
    optimizer: Literal["snt_asgd", "sgd", "adam", "adamw"] = "snt_asgd"
    lr: Annotated[float, Field(gt=0)] = 40.0
    schedule: Literal["constant", "cosine", "step", "plateau"] = Field(
        default="constant", description="how `lr` falls over the full training budget"
    )
    warmup: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="epochs in which `lr` rises in a line from 0"
    )
    decay: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25, description="what schedules step and plateau multiply by"
    )
    decay_every: Positive = Field(default=10, description="epochs between steps of schedule step")
    patience: Positive = Field(
        default=1, description="epochs without a new best validation loss: schedule plateau falls"
    )
    lr_floor: Fraction = Field(
        default=0.0, description="share of `lr` that no schedule falls below"
    )
    weight_decay: Annotated[float, Field(ge=0)] = 1.2e-6
    clip: Annotated[float, Field(ge=0)] = Field(default=0.25, description="gradient norm; 0 is off")
    nonmono: Positive = Field(
        default=5, description="validation losses that the averaging trigger skips"
    )
    finetune: Annotated[tuple[Positive, ...], Field(strict=False)] = Field(
        default=(), description="epochs after which training restarts from the averages"
    )
    batch: Positive = 20
    micro_batch: Annotated[int, Field(ge=0)] = Field(
        default=0, description="rows a pass; 0 is the batch"
    )
    eval_batch: Positive = 10
    test_batch: Annotated[int, Field(ge=0)] = Field(default=0, description="0 is eval_batch")
    bptt: Positive = 35
    variable_bptt: bool = Field(
        default=False, description="segment lengths drawn as AWD-LSTM draws them"
    )
    max_bptt: Annotated[int, Field(ge=0)] = Field(
        default=0, description="longest drawn segment; 0: bptt + 20"
    )
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        default="float32",
        description="of matrix products; auto: bfloat16 where a few timed steps gain by it",
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0)] = Field(
        default=0, description="torch threads; 0: cores / workers"
    )


class Dense(Section):
    """Where the dense reference comes from, if it is not trained; at most one of these is given."""

    run: str | None = Field(
        default=None, description="folder of a run whose dense reference counts for this one too"
    )
    weights: str | None = Field(
        default=None,
        description="safetensors of a trained dense network: target and spectrum are measured from it",
    )
    target: float | None = Field(
        default=None,
        description="value of the metric to reach; there is then no dense spectrum to compare with",
    )

    @property
    def given(self) -> tuple[str, ...]:
        """The keys that are given."""
        return tuple(key for key, value in self if value is not None)


class Prune(Section):
    """The controls of dynamic sparse training."""

    preset: str | None = Field(
        default=None, description="a named method that fills in the controls"
    )
    sparsity: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.67, description="of all masked weights; with a budget it follows and is not read"
    )
    active: Annotated[int, Field(ge=1, le=10**10)] | None = Field(
        default=None,
        description="numbers that every network keeps, biases among them: sparsity follows from its size",
    )
    budget: Bytes | None = Field(
        default=None,
        description="bytes of tables that every network may take in C, such as `64 KiB`: in compressed "
        "rows or the recipe's block; sparsity follows",
    )
    budget_dtype: Literal["float32", "int8"] = Field(
        default="float32", description="numbers of that form"
    )
    width: str = Field(
        default="hidden",
        description="the model's option that is fitted, so that the dense reference keeps to the budget",
    )
    init: Choice = Choice(name=NAMES["init"])
    init_scale: InitScale = Field(
        default=INIT_SCALE,
        description="initial weights times 1/√density: of their tensor (variance) or row (fan_in)",
    )
    unscaled: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="globs of tensors that `init_scale` leaves as they are"
    )
    removal: Choice = Choice(name=NAMES["removal"])
    growth: Choice = Choice(name=NAMES["growth"])
    redistribution: Choice = Choice(name=NAMES["redistribution"])
    schedule: Choice = Choice(name=NAMES["schedule"])
    initial_sparsity: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="where gradual pruning starts; it ends at `sparsity` by `stop`"
    )
    removal_rate: Fraction = Field(default=0.5, description="r at the start")
    regrown: Literal["keep", "reset"] = Field(
        default="reset",
        description="a weight that one update removes and grows again: keeps its value, or starts at 0",
    )
    update: Literal["epoch", "never"] | Positive = Field(
        default="epoch",
        description="when the topology changes: each epoch, never, or every k steps",
    )
    stop: Fraction = Field(
        default=1.0, description="share of training after which the topology is fixed"
    )
    exclude: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="globs of tensors that stay dense"
    )
    block: Block = Field(
        default=EACH,
        description="weights that move as one: `[rows, columns]`, `rows`, `units`, `columns`, or `n:m`",
    )

    @property
    def budgeted(self) -> bool:
        """Whether a budget says how sparse a network is."""
        return self.active is not None or self.budget is not None


class Spectrum(Section):
    """How a Lyapunov spectrum is measured and two are compared."""

    measure: bool = Field(
        default=True,
        description="whether spectra are measured, after each epoch; a search whose objective compares "
        "none may do without, and its candidates then cost their training alone",
    )
    state: Literal["hidden", "full"] = "full"
    protocol: Literal["standard", "published"] = "standard"
    sequences: Positive = 8
    burn_in: Annotated[int, Field(ge=0)] = 10
    steps: Positive = 35
    distance: Choice = Choice(name=NAMES["distance"])
    reference: Literal["same_epoch", "same_loss", "final"] = Field(
        default="same_epoch",
        description="which dense spectrum a candidate is held against: of its own epoch, of the "
        "epoch with the nearest validation loss, or the last",
    )
    exponents: Literal["resolved", "raw"] | None = Field(
        default=None,
        description="what distances compare; resolved, but raw where the protocol is published",
    )
    dtype: Literal["float64", "float32"] = "float64"

    @property
    def raw(self) -> bool:
        """Whether distances use exponents below the resolution as measured."""
        return self.exponents == "raw" or (self.exponents is None and self.protocol == "published")


class Search(Section):
    """Who proposes candidates, and what is minimised early."""

    preset: Literal["published"] | None = Field(
        default=None, description="a named search that fills in keys here and in other sections"
    )
    searcher: Choice = Choice(name=NAMES["searcher"])
    goal: Goal = Field(
        default="perplexity",
        description="the lowest perplexity (of other tasks the best metric), the smallest network that "
        "meets the dense target, or the frontier of both; the last two with `prune.sparsity` in the space",
    )
    objective: Choice = Field(
        default=Choice(name=NAMES["objective"]), description="what is minimised early"
    )
    candidates: Annotated[int, Field(ge=1, le=10**4)] = 40
    workers: Positive | Literal["auto"] = Field(
        default=1, description="candidates that train side by side; auto: as many as fit"
    )
    executor: Choice = Field(
        default=Choice(name=NAMES["executor"]), description="where candidates train"
    )
    full: bool | None = Field(
        default=None,
        description="train every candidate to the full budget, without rounds; so it is where there "
        "are arms and nothing else is said",
    )
    default_first: bool = Field(
        default=True, description="try the recipe's own settings before any other"
    )
    silence: Annotated[float, Field(ge=0, le=1e9)] = Field(
        default=3600.0,
        description="seconds that a plugin may take for an answer, or a training from step to step, "
        "before it counts as failed; 0 waits for ever",
    )


class Rounds(Section):
    """How the pool is halved."""

    first: Positive = Field(
        default=3, description="epochs every candidate trains before it is judged"
    )
    epochs: Positive = Field(default=3, description="epochs a round adds")
    keep: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="share kept by a round"
    )
    hedge: bool = Field(
        default=True,
        description="whoever has the lowest validation loss survives a round, and is a finalist",
    )


class Final(Section):
    """How the pool ends."""

    finalists: Positive = Field(default=2, description="candidates trained to the full budget")
    keep: Literal["finalists", "all"] = Field(
        default="finalists",
        description="whose best weights stay on the disk; spectra and histories always do",
    )
    seeds: Annotated[int, Field(ge=1, le=999)] = Field(
        default=1,
        description="seeds from which finalists and the dense reference train; the winner has the "
        "lowest mean loss",
    )
    stop_at_target: bool = Field(
        default=False, description="end the run as soon as a network meets the dense target"
    )
    rescue: bool = Field(
        default=True,
        description="train on whoever went out with a lower validation loss than the winner's",
    )
    int8_epochs: Annotated[int, Field(ge=0, le=10**6)] = Field(
        default=0,
        description="epochs that finalists train on as int8 will hold their weights, masks as they are; "
        "0: int8 files round the weights",
    )
    int8_lr: Annotated[float, Field(gt=0)] = Field(
        default=0.1, description="share of `train.lr` at which that begins; it falls by a cosine"
    )
    retries: Annotated[int, Field(ge=0)] = Field(
        default=1, description="retries of a transient failure"
    )


class Arm(Section):
    """One of the methods that a study compares: what it sets beside the recipe, by dotted path."""

    name: str
    settings: Mapping[str, Any] = Field(default_factory=dict)


class Recipe(Section):
    """One experiment. The file is the whole truth of it: same recipe, same machine, same run."""

    title: str = ""
    seed: Seed = 1
    seeds: Annotated[tuple[Seed, ...], Field(strict=False)] = Field(
        default=(),
        description="seeds that every arm, or finalist, and the dense network train from",
    )
    plugins: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="Python files whose plugins this recipe uses, relative to it"
    )
    arms: Annotated[tuple[Arm, ...], Field(strict=False)] = Field(
        default=(), description="methods to compare, in place of what a searcher proposes"
    )
    data: Data = Data()
    task: Task = Task()
    model: Model = Model()
    train: Train = Train()
    dense: Dense = Dense()
    prune: Prune = Prune()
    space: Mapping[str, Domain] = Field(default_factory=dict)
    spectrum: Spectrum = Spectrum()
    search: Search = Search()
    rounds: Rounds = Rounds()
    final: Final = Final()

    @property
    def about_size(self) -> bool:
        """Whether the size of networks is what the run is about."""
        return self.search.goal != "perplexity" or self.prune.budgeted

    @property
    def in_full(self) -> bool:
        """Whether every candidate trains to the full budget, and no round eliminates one."""
        return bool(self.arms) if self.search.full is None else self.search.full

    @property
    def compares_spectra(self) -> bool:
        """Whether spectra are measured, and there is a dense one to hold them against."""
        return self.spectrum.measure and self.dense.target is None

    @property
    def arm_names(self) -> dict[str, str]:
        """Names of arms by the candidates that they are: they are proposed in their order."""
        return {f"c{k:03d}": arm.name for k, arm in enumerate(self.arms)}

    def arrived(self, epoch: int) -> bool:
        """Whether a network is as sparse after an epoch as it is to be: gradual pruning passes denser
        ones on its way."""
        last = self.prune.stop * self.train.epochs
        return self.prune.initial_sparsity is None or epoch > last

    def seed_of(self, number: int) -> int:
        """The seed of a training's n-th repetition, counted from 1, its own."""
        return self.seeds[number - 1] if self.seeds else (self.seed + number - 1) % 2**63

    @model_serializer(mode="wrap")
    def _where_said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out sections that came later and say nothing, so that older runs read as they did."""
        said: dict[str, Any] = write(self)
        for section, nothing in (("task", Task()), ("dense", Dense())):
            if getattr(self, section) == nothing:
                said.pop(section, None)
        return said
