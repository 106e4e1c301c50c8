"""One notebook through the pipeline: what it leaves behind when it works and when it does not."""

from __future__ import annotations

from dataclasses import replace

import nbformat
import papermill
import pytest

from book import execute
from book import run as run_command
from book.execute import is_fresh, run

KERNELSPEC = {"name": "python3", "display_name": "Python 3"}


def read(path):
    return nbformat.read(path, as_version=4)


def printed(notebook) -> str:
    texts = (o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
    return "".join(texts)


def test_executed_notebook_is_labelled_and_alone_in_its_folder(tiny) -> None:
    source = tiny.notebook("one", "print(width * 2, name)")
    outcome = run(tiny.job(source, width=21))
    assert outcome.error is None
    assert [p.name for p in tiny.layout.executed.iterdir()] == ["one.ipynb"]
    notebook = read(tiny.layout.twin(source))
    assert printed(notebook) == "42 servo\n"
    record = notebook.metadata["lipsnn"]
    assert record["notebook"] == "notebooks/one.md"
    assert record["parameters"] == {"width": 21, "rate": 0.5, "name": "servo"}
    assert record["commit"] == "abc123"
    assert record["profile"] == "quick"
    assert record["seconds"] > 0
    assert record["solver"] in ("MOSEK", "CLARABEL")
    assert {"python", "lipsnn", "numpy", "cvxpy"} <= set(record["versions"])
    # no path of the machine that ran it
    assert notebook.metadata["papermill"]["input_path"] == "notebooks/one.md"
    assert notebook.metadata["papermill"]["output_path"] == "book/executed/one.ipynb"


def test_injected_cell_is_hidden_and_the_parameters_cell_stays(tiny) -> None:
    source = tiny.notebook("one")
    assert run(tiny.job(source, width=4)).error is None
    tags = [set(c.metadata.get("tags", [])) for c in read(tiny.layout.twin(source)).cells]
    assert {"injected-parameters", "remove-cell"} in tags
    assert {"parameters"} in tags


def test_plain_papermill_runs_an_executed_notebook_again(tiny, tmp_path) -> None:
    source = tiny.notebook("one", "print(width)")
    assert run(tiny.job(source, width=4)).error is None
    again = tmp_path / "again.ipynb"
    papermill.execute_notebook(
        tiny.layout.twin(source), again, parameters={"width": 50}, progress_bar=False
    )
    notebook = read(again)
    assert printed(notebook) == "50\n"
    injected = [c for c in notebook.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert len(injected) == 1


def test_failing_notebook_leaves_a_log_and_nothing_to_publish(tiny) -> None:
    source = tiny.notebook("bad", "print('before')", "raise RuntimeError('the reason')")
    tiny.layout.executed.mkdir(parents=True)
    tiny.layout.twin(source).write_text("stale")
    outcome = run(tiny.job(source))
    assert outcome.error is not None
    assert "the reason" in outcome.error
    assert [p.name for p in tiny.layout.executed.iterdir()] == ["bad.log"]
    log = outcome.log.read_text()
    assert "notebook: notebooks/bad.md" in log
    assert "raise RuntimeError('the reason')" in log
    assert "Traceback" in log
    assert "\x1b" not in log


def test_cell_that_is_allowed_to_raise_is_still_refused(tiny) -> None:
    source = tiny.notebook("bad", ":tags: [raises-exception]\n\n1 / 0")
    outcome = run(tiny.job(source))
    assert outcome.error is not None
    assert "division by zero" in outcome.error
    assert not tiny.layout.twin(source).exists()


def test_notebook_that_hangs_is_stopped_with_its_cell_in_the_log(tiny) -> None:
    source = tiny.notebook("slow", "import time", "time.sleep(0.5)", "while True:\n    pass")
    outcome = run(replace(tiny.job(source), time_limit=2))
    assert outcome.error is not None
    assert "still running after 2 s" in outcome.error
    assert "--time-limit" in outcome.error
    assert "while True:" in outcome.log.read_text()
    assert [p.name for p in tiny.layout.executed.iterdir()] == ["slow.log"]


def test_time_limit_of_a_profile() -> None:
    assert execute.time_limit("quick") < execute.time_limit("full")


def test_unknown_parameter_is_an_error_that_names_the_known(tiny) -> None:
    source = tiny.notebook("one")
    outcome = run(tiny.job(source, widht=4))
    assert outcome.error is not None
    assert "no parameter widht; its parameters are width, rate, name" in outcome.error
    assert not tiny.layout.twin(source).exists()


def test_source_without_kernel_is_refused(tiny) -> None:
    source = tiny.notebook("one", header="")
    outcome = run(tiny.job(source))
    assert outcome.error is not None
    assert "kernelspec" in outcome.error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nb: nb.metadata["papermill"].update(exception=True), "records an exception"),
        (lambda nb: nb.metadata["papermill"].update(duration=None), "no complete run"),
        (lambda nb: nb.metadata.pop("kernelspec"), "no kernel"),
        (lambda nb: nb.cells[0].update(execution_count=None), "was not run"),
        (
            lambda nb: nb.cells[0].outputs.append(
                nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
            ),
            "shows an error",
        ),
    ],
)
def test_check_refuses_what_must_not_be_published(change, message) -> None:
    cell = nbformat.v4.new_code_cell("1", execution_count=1)
    metadata = {"papermill": {"duration": 1.0}, "kernelspec": KERNELSPEC}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=nbformat.from_dict(metadata))
    execute.check(notebook, "one")
    change(notebook)
    with pytest.raises(ValueError, match=message):
        execute.check(notebook, "one")


def test_fresh_until_an_input_changes(tiny) -> None:
    source = tiny.notebook("one")
    job = tiny.job(source)
    assert not is_fresh(job)
    assert run(job).error is None
    assert is_fresh(job)
    assert not is_fresh(tiny.job(source, width=4))
    code = tiny.layout.root / "lipsnn" / "code.py"
    code.parent.mkdir()
    code.write_text("x = 1\n")
    assert not is_fresh(job)
    code.unlink()
    assert is_fresh(job)
    source.write_text(source.read_text() + "\nmore\n")
    assert not is_fresh(job)


def test_run_command_writes_beside_the_books_own_page(tiny, capsys) -> None:
    source = tiny.notebook("one", "print(width, rate)")
    tiny.profile("one: {rate: 0.25}")
    assert run_command.main([str(source), "-p", "width", "50"]) == 0
    output = tiny.layout.executed / "one-width-50.ipynb"
    assert str(output) in capsys.readouterr().out
    assert printed(read(output)) == "50 0.25\n"
    assert not tiny.layout.twin(source).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.md"], "no notebook source"),
        (["{source}", "--output", "x.html"], "must end in .ipynb"),
        (["{source}", "--profile", "slow"], "unknown profile"),
    ],
)
def test_run_command_refuses_bad_input(tiny, capsys, arguments, message) -> None:
    source = tiny.notebook("one")
    assert run_command.main([a.format(source=source) for a in arguments]) == 2
    assert message in capsys.readouterr().err


def test_run_command_fails_with_the_log_of_an_unknown_parameter(tiny, capsys) -> None:
    source = tiny.notebook("one")
    assert run_command.main([str(source), "-p", "widht", "4"]) == 1
    text = capsys.readouterr().err
    assert "its parameters are width, rate, name" in text
    assert str(tiny.layout.log(source)) in text
