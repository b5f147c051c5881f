"""`make demo`: what it prints beyond a training."""

import pytest

from melanoma_pl import demo


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_only_a_finished_demo_tells_what_to_type_next(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = []
    monkeypatch.setattr(demo, "command", lambda arguments: typed.append(arguments) or code)
    assert demo.demo(["seed=1"]) == code
    assert typed == [["experiment=demo", "seed=1"]]
    assert ("source .venv/bin/activate" in capsys.readouterr().out) == (code == 0)


def test_its_lines_continue_those_of_the_training_and_repeat_none() -> None:
    lines = demo.next_steps().splitlines()
    start = len("! caution  ")
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines)
    assert lines[0][start:].startswith("melanoma-train experiment=baseline data=folder")
    assert not [line for line in lines if "melanoma-predict" in line or "tensorboard" in line or "report" in line]
