"""`python -m book.build`: execute every notebook, then build the book from those results."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import yaml
from tqdm import tqdm

from book import claims, front, pages, pictures
from book import parameters as params
from book.execute import TIME_LIMIT_HELP, Job, Outcome, is_fresh, run, time_limit
from book.layout import REPOSITORY, Layout
from studies.common import provenance

AT_A_TIME = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m book.build", description=__doc__)
    parser.add_argument("--profile", default="quick", help="parameters of the notebooks (quick)")
    parser.add_argument(
        "--reuse", action="store_true", help="keep executed notebooks whose inputs are unchanged"
    )
    parser.add_argument("--time-limit", type=int, metavar="SECONDS", help=TIME_LIMIT_HELP)
    parser.add_argument("--output", type=Path, help="folder that gets _build (the repository's)")
    parser.add_argument(
        "--repository",
        metavar="URL",
        help="where it is public: turns the edit and launch buttons on",
    )
    parser.add_argument(
        "--executed-ref",
        metavar="REF",
        default="executed",
        help="branch or tag there that holds the executed notebooks (executed)",
    )
    parser.add_argument("--address", metavar="URL", help="where the built folder will be served")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    layout = Layout(options.root.resolve())
    try:
        layout.check_toc()
        jobs = plan(layout, options.profile, options.time_limit)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = [o for o in execute_all(jobs, reuse=options.reuse) if o.error is not None]
    for outcome in failed:
        name = layout.relative(outcome.source)
        print(f"FAILED {name}: {outcome.error}\n  log: {outcome.log}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(jobs)} notebooks failed: no book was built", file=sys.stderr)
        return 1
    try:
        entries = claims.gather(layout)
    except ValueError as error:
        print(f"error: {error}\nno book was built", file=sys.stderr)
        return 1
    pictures.write_all(layout)
    records = pages.read_records(layout)
    pages.write_all(layout, records)
    claims.write_all(layout, entries, records)
    front.write_all(layout, entries)
    if options.profile == claims.PROFILE:
        claims.write_results(layout, entries, records)
    config = None
    if options.repository or options.address:
        config = published_config(layout, options.repository, options.executed_ref, options.address)
    return build_html(layout, (options.output or layout.root).resolve(), config)


def plan(layout: Layout, profile: str, limit: int | None = None) -> list[Job]:
    """One job per notebook source, with the profile's parameters and time limit, or `limit`."""
    values = params.load_profile(layout, profile)
    commit = provenance.commit(layout.root)
    return [
        Job(
            layout,
            source,
            layout.twin(source),
            profile,
            values.get(source.stem, {}),
            commit,
            limit or time_limit(profile),
        )
        for source in layout.sources()
    ]


def execute_all(jobs: list[Job], *, reuse: bool = False) -> list[Outcome]:
    """Run all jobs, two at a time; a failure does not stop the others."""
    due = [job for job in jobs if not (reuse and is_fresh(job))]
    if kept := len(jobs) - len(due):
        print(f"{kept} of {len(jobs)} notebooks are unchanged and kept")
    outcomes = []
    # Processes, not threads: papermill changes the working directory of the process it runs in.
    with (
        ProcessPoolExecutor(AT_A_TIME, mp_context=get_context("spawn")) as pool,
        tqdm(total=len(due), desc="notebooks", unit="notebook") as bar,
    ):
        for future in as_completed([pool.submit(run, job) for job in due]):
            outcome = future.result()
            outcomes.append(outcome)
            verdict = "ok" if outcome.error is None else "FAILED"
            bar.write(f"{outcome.source.name}: {verdict}, {outcome.seconds:.1f} s")
            bar.update()
    return outcomes


def published_config(
    layout: Layout, repository: str | None, executed_ref: str, address: str | None
) -> Path:
    """`_config.yml` with the addresses of what is public, and the buttons that need them."""
    config = yaml.safe_load((layout.root / "_config.yml").read_text(encoding="utf8"))
    # jupyter-book looks for these beside the configuration
    local = config["sphinx"]["local_extensions"]
    config["sphinx"]["local_extensions"] = {n: str(layout.root / p) for n, p in local.items()}
    if address:
        config["html"]["baseurl"] = address.rstrip("/") + "/"
    if repository:
        config["repository"]["url"] = repository
        config["html"] |= {
            f"use_{button}_button": True for button in ("repository", "edit_page", "issues")
        }
        config["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        }
        config["sphinx"]["config"]["executed_ref"] = executed_ref
    path = layout.generated / "_config.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf8")
    return path


def build_html(layout: Layout, output: Path, config: Path | None = None) -> int:
    """`jupyter-book build -n -W`: any warning, a broken reference among them, is an error."""
    # No incremental build: Sphinx repeats no warning of a page that it does not read again.
    shutil.rmtree(output / "_build", ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", "-n", "-W", "--keep-going", "--path-output", str(output), "."]
    if config is not None:
        command[-1:-1] = ["--config", str(config)]
    # the local extension imports this package
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    code = subprocess.run(command, cwd=layout.root, env=environment, check=False).returncode
    index = output / "_build" / "html" / "index.html"
    if code != 0 or not index.is_file():
        print("jupyter-book failed: see its warnings above", file=sys.stderr)
        return code or 1
    print(f"\nThe book: {index}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
