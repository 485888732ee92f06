"""Reading what a user uploaded: exactly the object the event tells of, and clear words when it is gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lnn.aws.client_errors import UNREADABLE
from lnn.aws.events import Upload
from lnn.data.uploads import ParametersVersion, UploadReader
from lnn.errors import DatasetError, NonRetryable, SettingsError
from lnn.job.hyperparameters import MAX_FILE_BYTES
from support.inprocess_cloud import NAMES, InProcessCloud

KEY = "training_input/meine Katzen & 猫/a+b.h5"


@pytest.fixture
def inbox(cloud: InProcessCloud) -> UploadReader:
    return UploadReader(cloud.s3)


def delete(cloud: InProcessCloud, upload: Upload, **version: Any) -> None:
    cloud.s3.delete_object(Bucket=upload.bucket, Key=upload.key, **version)


@pytest.mark.parametrize("storage", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_upload_fails_its_run_at_once_with_the_cure(
    cloud: InProcessCloud, tmp_path: Path, storage: str
) -> None:
    upload = cloud.upload(b"", {})
    stored = cloud.s3.put_object(Bucket=NAMES.bucket, Key=upload.key, Body=b"", StorageClass=storage)
    upload = dataclasses.replace(upload, version_id=stored["VersionId"])
    assert cloud.launch(upload) == "refused"
    run = cloud.run(upload.run_id)
    assert run.status == "FAILED"
    assert run.reason is not None
    assert "InvalidObjectState" in run.reason
    assert "copy it to the storage class STANDARD" in run.reason


@pytest.mark.parametrize("code", ["InvalidRequest", "KMS.DisabledException"])
@pytest.mark.parametrize("key", ["datasets.h5", "parameters.json"])
def test_what_s3_will_never_give_fails_the_run_at_once(
    cloud: InProcessCloud, code: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, read, head = cloud.upload(b"", {}), cloud.s3.get_object, cloud.s3.head_object

    def refusing(call: Callable[..., Any], answer: dict[str, str], operation: str) -> Callable[..., Any]:
        def ask(**given: Any) -> Any:
            if given["Key"].endswith(key):
                raise ClientError({"Error": answer}, operation)
            return call(**given)

        return ask

    monkeypatch.setattr(cloud.s3, "get_object", refusing(read, {"Code": code, "Message": "no."}, "GetObject"))
    monkeypatch.setattr(
        cloud.s3, "head_object", refusing(head, {"Code": "400", "Message": "Bad Request"}, "HeadObject")
    )
    assert cloud.launch(upload) == "refused"
    run = cloud.run(upload.run_id)
    assert run.status == "FAILED"
    assert run.reason is not None
    assert f"/{key}: {code}: no; {UNREADABLE[code]}, then" in run.reason


@pytest.mark.parametrize(
    ("metadata", "started"),
    [
        ({"upload-started-at": "1772600767.25"}, 1772600767.25),
        ({}, None),
        ({"upload-started-at": "yesterday"}, None),
        ({"upload-started-at": "nan"}, None),
    ],
    ids=["said", "not said", "nonsense", "no number"],
)
def test_when_an_upload_began_is_known_if_the_client_said_so(
    inbox: UploadReader, cloud: InProcessCloud, metadata: dict[str, str], started: float | None
) -> None:
    assert inbox.describe(cloud.put(KEY, b"", **metadata)).began_at == started


def test_what_a_client_said_of_an_upload_is_not_taken_from_a_later_one(
    inbox: UploadReader, cloud: InProcessCloud
) -> None:
    first, second = (cloud.put(KEY, b"", **{"parameters-version": version}) for version in ("one", "two"))
    assert inbox.describe(first).parameters_version == "one"
    assert inbox.describe(second).parameters_version == "two"


def test_the_very_version_that_the_event_tells_of_is_fetched(
    inbox: UploadReader, cloud: InProcessCloud, tmp_path: Path
) -> None:
    first, second = cloud.put(KEY, b"first"), cloud.put(KEY, b"second")
    for upload, expected in ((first, b"first"), (second, b"second")):
        inbox.fetch_dataset(upload, tmp_path / "file", 100)
        assert (tmp_path / "file").read_bytes() == expected


def test_an_upload_without_a_version_is_fetched_as_it_is(
    inbox: UploadReader, cloud: InProcessCloud, tmp_path: Path
) -> None:
    upload = dataclasses.replace(cloud.put(KEY, b"body"), version_id=None)
    inbox.fetch_dataset(upload, tmp_path / "file", 100)
    assert (tmp_path / "file").read_bytes() == b"body"


@pytest.mark.parametrize("versioned", [True, False])
def test_a_deleted_upload_is_refused_by_name(
    inbox: UploadReader, cloud: InProcessCloud, tmp_path: Path, versioned: bool
) -> None:
    upload = cloud.put(KEY, b"body")
    delete(cloud, upload, **({"VersionId": upload.version_id} if versioned else {}))
    with pytest.raises(DatasetError, match=r"meine Katzen & 猫/a\+b\.h5: deleted before it could be read; upload it"):
        inbox.describe(upload)
    gone = upload if versioned else dataclasses.replace(upload, version_id=None)
    with pytest.raises(DatasetError, match="deleted before it could be read"):
        inbox.fetch_dataset(gone, tmp_path / "file", 100)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    inbox: UploadReader, cloud: InProcessCloud, tmp_path: Path
) -> None:
    upload = cloud.put(KEY, b"x" * 3 * 2**20)
    with pytest.raises(DatasetError, match=r"found 3 MB; the Launch function has 2 MB of /tmp: raise .* in Terraform"):
        inbox.fetch_dataset(upload, tmp_path / "file", 2 * 2**20)
    assert not (tmp_path / "file").exists()


def test_parameters_are_read_from_the_dataset_s_own_folder_only(inbox: UploadReader, cloud: InProcessCloud) -> None:
    upload = cloud.put(KEY, b"")
    cloud.put("training_input/parameters.json", b"the root's")
    with pytest.raises(SettingsError, match=r"parameters\.json: missing; expected s3://.*/猫/parameters\.json"):
        inbox.find_parameters(dataclasses.replace(upload, key="training_input/猫/a.h5"), None)
    cloud.put("training_input/meine Katzen & 猫/parameters.json", b"its own")
    assert inbox.read_parameters(upload, inbox.find_parameters(upload, None)) == b"its own"


def at(upload: Upload, seconds: float) -> Upload:
    """The upload as if S3 had told of it so many seconds from now."""
    return dataclasses.replace(upload, event_time=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat())


def test_the_parameters_of_an_upload_are_the_newest_that_were_there_before_it(
    inbox: UploadReader, cloud: InProcessCloud
) -> None:
    upload, key = cloud.put("training_input/a/datasets.h5", b""), "training_input/a/parameters.json"
    versions = [cloud.put(key, body).version_id for body in (b"first", b"second")]
    cloud.put(f"{key}.old", b"another file")
    for seconds, expected in ((60, versions[1]), (-60, versions[0])):  # all are younger: the oldest is its own
        found = inbox.find_parameters(at(upload, seconds), None)
        assert found.version_id == expected
    assert inbox.read_parameters(upload, inbox.find_parameters(upload, versions[0])) == b"first"
    cloud.s3.delete_object(Bucket=NAMES.bucket, Key=key)
    with pytest.raises(SettingsError, match=r"parameters\.json: missing"):
        inbox.find_parameters(at(upload, 60), None)
    assert inbox.read_parameters(upload, ParametersVersion(versions[0], None)) == b"first"
    cloud.s3.delete_object(Bucket=NAMES.bucket, Key=key, VersionId=versions[0])
    with pytest.raises(SettingsError, match=r"parameters\.json: missing"):
        inbox.read_parameters(upload, ParametersVersion(versions[0], None))


def test_parameters_that_were_replaced_in_a_bucket_without_versions_are_refused(
    inbox: UploadReader, cloud: InProcessCloud
) -> None:
    bucket, key = "keeps-no-versions", "training_input/a/parameters.json"
    cloud.s3.create_bucket(Bucket=bucket)
    upload = Upload(bucket, "training_input/a/datasets.h5", None, "etag", "1", datetime.now(UTC).isoformat())
    cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"first")
    found = inbox.find_parameters(upload, None)
    assert found.version_id is None
    assert inbox.read_parameters(upload, found) == b"first"
    cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"second")
    with pytest.raises(SettingsError, match=r"replaced or deleted since .* keeps no versions"):
        inbox.read_parameters(upload, found)


def test_no_more_of_the_parameters_is_read_than_shows_that_they_are_too_long(
    inbox: UploadReader, cloud: InProcessCloud
) -> None:
    upload = cloud.put("training_input/a.h5", b"")
    cloud.put("training_input/parameters.json", b"x" * (3 * MAX_FILE_BYTES))
    assert len(inbox.read_parameters(upload, inbox.find_parameters(upload, None))) == MAX_FILE_BYTES + 1


def test_a_refusal_of_s3_is_not_taken_for_a_deleted_file(
    inbox: UploadReader, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upload = cloud.put(KEY, b"")

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(cloud.s3, "head_object", refuse)
    monkeypatch.setattr(cloud.s3, "get_paginator", lambda _: SimpleNamespace(paginate=refuse))
    monkeypatch.setattr(cloud.s3, "get_object", refuse)
    for read in (
        lambda: inbox.describe(upload),
        lambda: inbox.fetch_dataset(upload, tmp_path / "file", 100),
        lambda: inbox.find_parameters(upload, None),
        lambda: inbox.read_parameters(upload, ParametersVersion("version", None)),
    ):
        with pytest.raises(NonRetryable, match=r"not allowed to .*: no; give the function"):
            read()
