"""Experiments as configuration: YAML and command line to objects, and checkpoints back to objects."""

import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from jsonargparse.typing import PositiveInt, restricted_number_type
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only
from omegaconf.errors import OmegaConfBaseException

from meta_rl.algorithms import MetaLearner
from meta_rl.data import ITERATIONS_PER_EPOCH, RolloutDataModule
from meta_rl.errors import UserError, one_line
from meta_rl.run.arguments import TENSORBOARD, config_files, normalise
from meta_rl.run.launchers import check, environment
from meta_rl.run.messages import explain, with_section
from meta_rl.run.plain import at_home
from meta_rl.run.program import usage
from meta_rl.run.tensorboard import TensorBoard

TRAINER_DEFAULTS = {
    "accelerator": "cpu",  # the networks are small: a GPU spends the time on launching kernels
    "devices": 1,
    "max_steps": 100,
    "max_epochs": -1,  # max_steps alone decides
    "log_every_n_steps": 0,  # callbacks.MetricsLog writes them, without the stale ones
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}

DESCRIPTION = """Meta-train a policy. Every key of the config file can be overridden, with or without dashes:
--model.inner_lr=0.2 or model.inner_lr=0.2. For the arguments of an algorithm see --model.help=MAML, of a task
family --data.env.help=PointMass; your own classes are named by their class_path."""

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)], docstring="In [0, 2^32).")


@dataclass(frozen=True)
class Options:
    """The run's own keys, besides model, data and trainer; docs/runs.md describes them.

    Args:
        name: Name of the run; default: the config file's stem.
        runs_dir: Directory in which the run's own one, NAME, is made.
        ckpt_path: Resume: 'last', a checkpoint, or 'auto': last if there is one, else from the beginning.
        checkpoint_every: Iterations between checkpoints.
        keep_checkpoints: How many of the newest checkpoints are kept.
        matmul_precision: Of float32 matrix products, see torch.set_float32_matmul_precision: 'medium' may
            round factors to bfloat16, up to twice as fast on CPUs with AVX-512.
        seed_everything: Seed of all random numbers.
    """

    name: str | None = None
    runs_dir: str = "runs"
    ckpt_path: str | None = None
    checkpoint_every: PositiveInt = 10  # type: ignore[valid-type]
    keep_checkpoints: PositiveInt = 3  # type: ignore[valid-type]
    matmul_precision: typing.Literal["highest", "high", "medium"] = "highest"
    seed_everything: Seed = 1  # type: ignore[valid-type]


class Parser(LightningArgumentParser):
    """Raises a UserError of one line where the base class prints pages and exits."""

    def error(self, message: str, ex: Exception | None = None) -> typing.NoReturn:
        if not self.exit_on_error:  # an attempt among several: its failure is no error yet
            super().error(message, ex)
        raise UserError(explain(message, self)) from None


class MetaCLI(LightningCLI):
    """`model` by class_path, `data` with its `env` by class_path, `trainer`, and the run's own keys.

    Args:
        args: Command-line arguments, or a configuration as a dict.
        build: Whether to make the objects; otherwise the configuration is only read.
    """

    model: MetaLearner
    datamodule: RolloutDataModule

    def __init__(self, args: list[str] | dict[str, Any], build: bool = True) -> None:
        self.build = build
        super().__init__(
            MetaLearner,
            RolloutDataModule,
            save_config_callback=None,  # run_directory keeps one file a start
            trainer_defaults=TRAINER_DEFAULTS,
            parser_class=Parser,
            parser_kwargs={
                "parser_mode": "omegaconf+",
                "allow_abbrev": False,
                "usage": f"{usage('train')} --config FILE_OR_NAME [--KEY=VALUE ...]",
                "description": DESCRIPTION,
            },
            subclass_mode_model=True,
            args=args,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_class_arguments(Options, as_group=False)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        try:
            self.config = parser.parse_object(args) if isinstance(args, dict) else parser.parse_args(args)
            jsonargparse.set_parsing_settings(unset_sentinel=True)  # else a null passes for every type
            for key, value in list(self.config.items()):
                self.config[key] = at_home(value)
            parser.validate(self.config)
        except OmegaConfBaseException as error:
            raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
        except TypeError as error:
            parser.error(str(error), error)
        finally:
            jsonargparse.set_parsing_settings(unset_sentinel=False)
        if not isinstance(self.config.trainer, jsonargparse.Namespace):
            raise UserError(f"trainer: expected keys such as max_steps, got {self.config.trainer}")

    def instantiate_classes(self) -> None:
        if not self.build:
            return
        try:
            self.config_init = self.parser.instantiate_classes(self.config)
        except (ValueError, ImportError) as error:
            cause: BaseException = error
            while str(cause).startswith("Does not validate") and cause.__cause__:  # the parser's wrapping
                cause = cause.__cause__
            if isinstance(cause, ValueError):
                raise UserError(with_section(one_line(cause), self.plain())) from error
            if isinstance(cause, ImportError):
                remedy = "put its directory on PYTHONPATH, or install it"
                raise UserError(f"{one_line(cause)}; {remedy}") from error
            raise cause from None  # a bug in a constructor
        self.model, self.datamodule = self.config_init["model"], self.config_init["data"]

    @property
    def options(self) -> Options:
        """The keys of this start."""
        return Options(**{key: self.config[key] for key in Options.__annotations__})

    def settle(self, name: str) -> None:
        """Give the run its name; what is saved describes the experiment, and not how this start began."""
        self.config.name, self.config.ckpt_path = name, None

    @property
    def tracked(self) -> bool:
        """Whether W&B records the run: unless the configuration names another logger than TensorBoard."""
        return self.config.trainer.logger in (None, True) or self.tensorboard

    @property
    def tensorboard(self) -> bool:
        """Whether the configuration asks for TensorBoard in the run's directory."""
        return getattr(self.config.trainer.logger, "class_path", None) == TENSORBOARD

    def make_trainer(self, callbacks: list[Callback], root: Path) -> Trainer:
        """The trainer of the configuration, with `callbacks` besides its own."""
        if self.config.trainer.enable_progress_bar is False:
            callbacks = [c for c in callbacks if not isinstance(c, ProgressBar)]
        if self.config.trainer.enable_checkpointing is False:
            raise UserError("trainer.enable_checkpointing: a run has checkpoints; see keep_checkpoints")
        self.trainer_defaults = {"callbacks": callbacks}
        logger = TensorBoard(root) if self.tensorboard else False
        arguments: dict[str, Any] = {"logger": logger} if self.tracked else {}
        arguments |= self._limits()
        if self.config.trainer.plugins is None:
            arguments["plugins"] = [environment()]
        try:
            trainer = self.instantiate_trainer(default_root_dir=root, **arguments)
        except (TypeError, ValueError, MisconfigurationException) as error:
            raise UserError(f"trainer: {one_line(error)}") from error
        rank_zero_only.rank = trainer.global_rank  # which loggers ask; Lightning takes it from any launcher
        if trainer.precision not in ("32-true", "64-true"):
            remedy = "for speed set matmul_precision: medium"
            raise UserError(
                f"trainer.precision: expected 32-true or 64-true, got {trainer.precision}; {remedy}"
            )
        check(trainer, self.datamodule, self.config.trainer.strategy)
        return trainer

    def _limits(self) -> dict[str, int]:
        """Epochs as iterations: Lightning takes an epoch that a signal has cut short for a whole one."""
        trainer = self.config.trainer
        if not trainer.max_epochs or trainer.max_epochs < 1 or trainer.fast_dev_run:
            return {}
        share = trainer.limit_train_batches
        length = (
            share if isinstance(share, int) else int(ITERATIONS_PER_EPOCH * (1.0 if share is None else share))
        )
        steps = trainer.max_epochs * length
        return {
            "max_epochs": -1,
            "max_steps": steps if trainer.max_steps < 0 else min(steps, trainer.max_steps),
        }

    def plain(self) -> dict[str, Any]:
        """What makes the experiment, as plain types: kept in every checkpoint."""
        everything = yaml.safe_load(self.dump())
        return {key: everything[key] for key in ("name", "seed_everything", "model", "data")}

    def dump(self) -> str:
        """The resolved configuration as YAML."""
        return self.parser.dump(self.config, skip_unset=False, skip_validation=True)


class _Unparsed(MetaCLI):
    """Only the parser, before any command line."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = jsonargparse.Namespace(seed_everything=False)


def make_parser() -> LightningArgumentParser:
    """The parser of `train`, with all of its keys."""
    return _Unparsed([], build=False).parser


def instantiate(config: dict[str, Any]) -> tuple[MetaLearner, RolloutDataModule]:
    """Rebuild learner and data module from a configuration of `read_config` or of a checkpoint."""
    cli = MetaCLI(config)
    return cli.model, cli.datamodule


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """The same configuration with the defaults of arguments that are newer than it."""
    return MetaCLI(config, build=False).plain()


def read_config(path: str | Path, overrides: typing.Sequence[str] = ()) -> dict[str, Any]:
    """The experiment in a YAML file, checked and with its defaults, as plain types."""
    args = normalise([f"--config={path}", *overrides])
    config_files(args)
    return MetaCLI(args, build=False).plain()
