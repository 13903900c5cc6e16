"""Runs that belong together, and what tells the others apart."""

from pathlib import Path
from typing import Any

from directories import config, metrics, write_run

from meta_rl.report.choose import collect
from meta_rl.report.groups import Group, alongside, by_value, find_factors, group_runs, reference_groups


def groups_of(root: Path, *settings: dict[str, Any]) -> list[Group]:
    """The groups of runs with these changes to their configuration."""
    for i, changes in enumerate(settings):
        write_run(root / str(i), config(**changes))
    runs, skipped = collect([root], "evaluation")
    assert not skipped
    return group_runs(runs)


def test_seeds_belong_together(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, {"method": "Oracle"}, *({"seed": seed} for seed in (3, 1, 2)))
    assert [group.label for group in groups] == ["MAML", "oracle"]  # the order of every legend
    assert [run.seed for run in groups[0].runs] == [1, 2, 3]
    assert find_factors(groups) == []


def test_every_method_has_its_name_and_its_place(tmp_path: Path) -> None:
    methods = ("Random", "ESMAML", "Mine", "Oracle", "Reptile", "Pretrained", "FOMAML", "MAML")
    names = ["MAML", "FOMAML", "Reptile", "ES-MAML", "pretrained", "oracle", "random", "Mine"]
    assert [g.method for g in groups_of(tmp_path, *({"method": method} for method in methods))] == names


def test_labels_name_what_differs(tmp_path: Path) -> None:
    settings = [{"inner_lr": 0.5}, {"inner_lr": 0.1}, {"inner_lr": [0.5, 0.25]}, {"method": "FOMAML"}]
    labels = [group.label for group in groups_of(tmp_path, *settings)]
    assert labels == ["MAML, inner_lr 0.1", "MAML, inner_lr 0.5", "MAML, inner_lr 0.5, 0.25", "FOMAML"]


def test_ambiguous_names_are_spelled_out(tmp_path: Path) -> None:
    settings = [{"policy": {"size": 1}, "size": 1}, {"policy": {"size": 2}, "size": 1}]
    more = {"policy": {"size": 1}, "size": 2}
    labels = [group.label for group in groups_of(tmp_path, *settings, more)]
    assert labels[0] == "MAML, model.policy.size 1, model.size 1"


def test_factors_of_a_grid(tmp_path: Path) -> None:
    grid = [
        {"method": method, "fast_batch_size": fast, "meta_batch_size": meta}
        for method in ("MAML", "FOMAML")
        for fast in (40, 5, 20, 10)
        for meta in (10, 20)
    ]
    groups = groups_of(tmp_path, *grid, {"method": "Reptile", "inner_lr": 0.7})
    fast, meta = sorted(find_factors(groups), key=lambda factor: factor.name)
    assert (fast.key, fast.name, fast.values) == ("data.fast_batch_size", "fast_batch_size", (5, 10, 20, 40))
    assert (fast.reference, meta.reference) == (20, 20)  # Reptile has them once more
    chosen = reference_groups(groups, [fast, meta])
    assert chosen["MAML"].label == "MAML, fast_batch_size 20, meta_batch_size 20"
    near = alongside(groups, chosen, [fast, meta], [fast])
    assert [fast.of(group) for group in near if group.method == "MAML"] == [5, 10, 20, 40]
    assert alongside(groups, chosen, [fast, meta], [fast, meta]) == groups
    assert alongside(groups, chosen, [fast, meta], []) == list(chosen.values())
    methods = {heading: [group.method for group in own] for heading, own in by_value(near, fast).items()}
    assert list(methods) == [f"fast_batch_size {n}" for n in (5, 10, 20, 40)]
    assert methods["fast_batch_size 20"] == ["MAML", "FOMAML", "Reptile"]
    assert methods["fast_batch_size 5"] == ["MAML", "FOMAML"]


def test_equally_frequent_values_have_their_upper_median_as_reference(tmp_path: Path) -> None:
    groups = groups_of(tmp_path, *({"fast_batch_size": fast} for fast in (5, 10, 20, 40)))
    (factor,) = find_factors(groups)
    assert factor.reference == 20


def test_settings_that_change_together_are_one_factor(tmp_path: Path) -> None:
    pairs = [{"inner_lr": 0.1, "init_std": 1.0}, {"inner_lr": 0.5, "init_std": 2.0}]
    settings = [{"method": method, **pair} for method in ("MAML", "FOMAML") for pair in pairs]
    reptile = [{"method": "Reptile", "inner_lr": rate, "init_std": 0.5} for rate in (0.1, 0.5)]
    groups = groups_of(tmp_path, *settings, *reptile)
    (factor,) = find_factors(groups)
    assert factor.key == "model.inner_lr"
    chosen = reference_groups(groups, [factor])
    assert {factor.of(group) for group in chosen.values()} == {0.5}
    assert len(alongside(groups, chosen, [factor], [factor])) == len(groups)


def test_lengths_of_training_are_settings(tmp_path: Path) -> None:
    write_run(tmp_path / "short", config(seed=2, max_steps=2), metrics(2))
    groups = groups_of(tmp_path, {"seed": 1})
    assert [group.label for group in groups] == ["MAML, iterations 2", "MAML, iterations 4"]
