"""docs/make_it_yours.md, run as it stands: its files are written where it says, its commands typed as they are."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from melanoma_pl import evaluate, predict, train
from tests.conftest import TINY, Command, only_run

GUIDE = (Path(__file__).parents[2] / "docs" / "make_it_yours.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [shlex.split(block) for block in re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)]
YAML_FILES = {  # in the order of the guide
    "model/tiny.yaml": "my_parts.TinyNet",
    "augmentation/darken.yaml": "my_parts.Darken",
    "experiment/careful.yaml": "name: careful",
}


@pytest.fixture
def parts(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the guide's files."""
    (work_folder / "my_parts.py").write_text("\n\n".join(PYTHON))
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert len(blocks) == len(YAML_FILES)
    for (name, content), block in zip(YAML_FILES.items(), blocks, strict=True):
        assert content in block
        assert f"my_conf/{name}" in GUIDE
        (work_folder / "my_conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (work_folder / "my_conf" / name).write_text(block)
    monkeypatch.syspath_prepend(str(work_folder))
    monkeypatch.delitem(sys.modules, "my_parts", raising=False)
    return work_folder


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words)[-40:] for words in COMMANDS])
def test_each_command_of_the_guide(words: list[str], parts: Path, run_command: Command, image_folder: Path) -> None:
    arguments = words[words.index("melanoma-train") + 1 :]
    other_model = "model=tiny" in arguments
    tiny = [text for text in TINY if not (other_model and text.startswith("model."))]
    result = run_command(train.command, *arguments, *tiny, "data=folder", f"data.root={image_folder}")
    assert result.code == 0, result.error
    run = only_run(parts)
    if other_model:
        image = str(image_folder / "test/benign/000.png")
        refused = run_command(predict.command, "--run", str(run), image)
        assert (refused.code, "trust=my_parts" in refused.error) == (2, True)
        assert run_command(predict.command, "--run", str(run), image, "--trust", "my_parts").code == 0
        assert run_command(evaluate.command, f"run={run}").code == 2
        assert run_command(evaluate.command, f"run={run}", "trust=my_parts").code == 0
        resume = [f"resume={run}", "trainer.max_epochs=3"]
        assert "--config-dir" in run_command(train.command, *resume).error
        own = ["--config-dir", "my_conf"]
        assert "trust=my_parts" in run_command(train.command, *resume, *own).error
        assert run_command(train.command, *resume, *own, "trust=my_parts").code == 0
    if "f1" in " ".join(arguments):
        assert "val/f1" in (run / "metrics.csv").read_text()
    if "csv" in " ".join(arguments):
        assert list((parts / "outputs" / "csv").rglob("metrics.csv"))
        resume = [f"resume={run}", "trainer.max_epochs=3"]
        assert "outside of the run's folder" in run_command(train.command, *resume).error
        assert run_command(train.command, *resume, "logger.csv.save_dir=outputs/csv").code == 0
