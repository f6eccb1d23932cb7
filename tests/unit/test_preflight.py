"""What is wrong is said before any job: sources of data, partitions that cannot be, and another study's results."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flexifed.data import download
from flexifed.settings import registry
from flexifed.study import config, ownership, preflight, single
from flexifed.system.errors import UserError
from tests.miniature import read_only

STUDY: dict[str, Any] = {
    "study": "mine",
    "blocks": [{"dataset": "digits", "families": ["vgg"]}],
    "strategies": ["standalone"],
    "seeds": [0],
    "protocols": {"short": {"preset": "clean", "clients": 4}},
}
NEWS = {"blocks": [{"dataset": "agnews", "families": ["charcnn"]}]}
ARCHIVE = {"file": "news.zip", "urls": ["http://127.0.0.1/news.zip"], "sha256": "0" * 64}


def study(**changes: Any) -> config.Study:
    return config.parse(copy.deepcopy({**STUDY, **changes}))


def dealt(clients: int, partitioner: str, **options: Any) -> dict[str, Any]:
    partition = {"partitioner": partitioner, "options": options}
    return {"protocols": {"short": {"preset": "clean", "clients": clients, "partition": partition}}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a study file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


@pytest.fixture
def folder_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """AG News, as if it could not be downloaded."""
    monkeypatch.setattr(registry.load("dataset", "agnews"), "ARCHIVES", ())


# Known from the study alone.


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"datasets": {"digits": {"local": "x"}}}, "datasets.digits.local: 'digits' is bundled with scikit-learn"),
        (
            {**NEWS, "datasets": {"digits": {"local": "x"}}},
            "datasets.digits.local: 'digits' is bundled with scikit-learn",
        ),
        ({"datasets": {"digits": {"archives": [ARCHIVE]}}}, "datasets.digits.archives: 'digits' is bundled with"),
        (
            {**NEWS, "datasets": {"agnews": {"archives": [ARCHIVE]}}},
            "datasets.agnews.archives: expected the files test.csv, train.csv, got news.zip.",
        ),
        (dealt(4, "iid", parts=2), "4 clients need 4 parts, parts is 2: raise parts or set it to 0"),
        (dealt(8, "one_class", parts=12), "8 clients x 2 one-class partitions need 16 partitions, parts is 12"),
        (dealt(4, "one_class", per_client=5, parts=12), "4 clients x 5 one-class partitions need 20 partitions"),
    ],
)
def test_what_the_study_alone_tells(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as error:
        study(**changes)
    assert expected in str(error.value)


@pytest.mark.parametrize("changes", [dealt(4, "iid", parts=4), dealt(4, "iid"), dealt(8, "one_class", parts=16)])
def test_what_some_data_set_may_give_is_let_through(changes: dict[str, Any]) -> None:
    assert study(**changes).cells()


@pytest.mark.usefixtures("folder_only")
def test_a_data_set_without_archives_is_named_by_its_folder() -> None:
    expected = r"datasets\.agnews\.local: 'agnews' has no archive to download: name a folder with train\.csv, test\.csv"
    with pytest.raises(UserError, match=expected):
        study(**NEWS)
    with pytest.raises(UserError, match=r"datasets\.agnews\.archives: 'agnews' has no archives that others could"):
        study(**NEWS, datasets={"agnews": {"local": "x", "archives": [ARCHIVE]}})
    assert study(**NEWS, datasets={"agnews": {"local": "x"}}).cells()
    assert study(datasets={"agnews": {"options": {}}}).cells(), "it is not used"


@pytest.mark.usefixtures("folder_only")
def test_a_data_set_without_archives_is_read_from_its_folder(tmp_path: Path) -> None:
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).touch()
    receipt = tmp_path / "receipt.json"
    download.download("agnews", local=tmp_path, archives=None, downloads=tmp_path / "downloads", receipt=receipt)
    assert json.loads(receipt.read_text())["path"] == str(tmp_path)
    with pytest.raises(UserError, match=r"datasets\.agnews\.local: 'agnews' has no archive to download"):
        download.download("agnews", local=None, archives=None, downloads=tmp_path / "downloads", receipt=receipt)


def test_an_edited_job_is_checked_likewise() -> None:
    values = study().run(study().cells()[0]).to_json()
    values["source"]["local"] = "x"
    with pytest.raises(UserError, match=r"source\.local: 'digits' is bundled with scikit-learn"):
        single.Run.from_json(values)


# Known from this machine.


def test_every_local_copy_that_is_not_there_or_not_whole(folder: Path) -> None:
    (folder / "news").mkdir()
    (folder / "news/train.csv").touch()
    blocks = [*NEWS["blocks"], {"dataset": "cifar10", "families": ["vgg"]}]
    both = study(blocks=blocks, datasets={"agnews": {"local": "news"}, "cifar10": {"local": "nowhere"}})
    with pytest.raises(UserError) as error:
        preflight.check(both, Path("mine.yaml"))
    first, second = str(error.value).splitlines()
    assert first.startswith("datasets.agnews.local: incomplete copy of the data in news: test.csv missing")
    assert second.startswith("datasets.cifar10.local: no copy of the data in nowhere or nowhere/cifar-10-batches-bin")
    assert sorted(p.name for p in folder.iterdir()) == ["mine.yaml", "news"], "looking makes nothing"


def test_a_local_copy_that_has_been_prepared_may_go(folder: Path) -> None:
    news = study(**NEWS, datasets={"agnews": {"local": "nowhere"}})
    prepared = folder / "results/mine/data/agnews"
    prepared.mkdir(parents=True)
    (prepared / "card.json").write_text(json.dumps({"options": {}}))
    (prepared.with_suffix(".source.json")).write_text(json.dumps({"path": "nowhere"}))
    preflight.begin(news, Path("mine.yaml"), trains=True)
    (prepared.with_suffix(".source.json")).write_text(json.dumps({"path": "elsewhere"}))
    with pytest.raises(UserError, match=r"datasets\.agnews\.local: no copy of the data in nowhere"):
        preflight.begin(news, Path("mine.yaml"), trains=True)
    preflight.begin(news, Path("mine.yaml"), trains=False)


def test_downloads_must_be_written_only_where_something_is_downloaded(folder: Path) -> None:
    news = folder / "downloads/agnews"
    news.mkdir(parents=True)
    with read_only(folder / "downloads"):
        preflight.begin(study(), Path("mine.yaml"), trains=True)
        with pytest.raises(UserError) as error:
            preflight.begin(study(study="news", **NEWS), Path("news.yaml"), trains=True)
    assert str(error.value).startswith(f"downloads: may not write {news}")
    assert "train.csv, test.csv would be downloaded there, see docs/data.md" in str(error.value)
    for name in ("train.csv", "test.csv"):
        (news / name).touch()
    (folder / "news.yaml").touch()
    with read_only(folder / "downloads"):
        preflight.begin(study(study="news", **NEWS), Path("news.yaml"), trains=True)


# Whose results they are.


def test_a_second_file_may_not_take_over_the_results_of_the_first(folder: Path) -> None:
    second = folder / "second.yaml"
    second.write_text("anything else")
    preflight.begin(study(), folder / "mine.yaml", trains=True)
    preflight.begin(study(seeds=[1]), folder / "mine.yaml", trains=True)
    for again in (preflight.check, lambda *both: preflight.begin(*both, trains=False)):
        with pytest.raises(UserError, match=r"results/mine holds the results of mine\.yaml, and .*second\.yaml would"):
            again(study(), second)
    preflight.begin(study(variant="small"), second, trains=True)


def test_a_study_file_may_be_renamed_and_moved_with_its_results(folder: Path) -> None:
    results = folder / "results/mine"
    ownership.take(results, folder / "mine.yaml")
    assert json.loads((results / "study.json").read_text()) == {"config": "mine.yaml"}
    (folder / "mine.yaml").rename(folder / "renamed.yaml")
    ownership.check(results, folder / "renamed.yaml")


def test_a_study_file_elsewhere_is_noted_by_its_whole_path(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine.yaml"
    elsewhere.touch()
    ownership.take(folder / "results/mine", elsewhere)
    assert json.loads((folder / "results/mine/study.json").read_text()) == {"config": str(elsewhere)}
    with pytest.raises(UserError, match=r"remove results/mine/study\.json if it is to take the place of"):
        ownership.check(Path("results/mine"), folder / "mine.yaml")
