"""S3 in memory: one versioned bucket, with conditional writes and events."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulation.aws import Refusal, Service
from simulation.scheduler import EPOCH, SimulationGap


@dataclass(frozen=True, slots=True)
class Version:
    version_id: str
    body: bytes | None
    """None is a delete marker."""
    etag: str
    metadata: Mapping[str, str]
    moment: float
    content_type: str = ""


class Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        while chunk := self.read(size):
            yield chunk


class S3(Service):
    """The bucket of one deployment."""

    name = "s3"
    unavailable = "ServiceUnavailable"

    def __init__(self, *arguments: Any, bucket: str) -> None:
        super().__init__(*arguments)
        self.bucket = bucket
        self.objects: dict[str, list[Version]] = {}
        self.on_written: Callable[[str, Version], None] = lambda key, version: None
        self._written = 0

    def latest(self, key: str) -> bytes | None:
        """What a simulation looks at, outside of any request."""
        versions = self.objects.get(key)
        return versions[-1].body if versions else None

    def do_put_object(self, Bucket: str, Key: str, Body: Any = b"", **more: Any) -> dict[str, Any]:
        known = {"ContentType", "Metadata", "IfMatch", "IfNoneMatch", "Tagging", "ChecksumAlgorithm", "CacheControl"}
        if set(more) - known:
            raise SimulationGap(f"S3 arguments {sorted(set(more) - known)}")
        self._check(Key, more.get("IfMatch"), more.get("IfNoneMatch"))
        body = Body if isinstance(Body, bytes) else bytes(Body.read() if hasattr(Body, "read") else Body)
        return self._write(Key, body, more.get("Metadata", {}), more.get("ContentType", "binary/octet-stream"))

    def do_get_object(self, Bucket: str, Key: str, **more: Any) -> dict[str, Any]:
        version = self._find(Key, more)
        whole = version.body or b""
        part = whole
        if "Range" in more:
            first, _, last = more["Range"].removeprefix("bytes=").partition("-")
            part = whole[int(first) : int(last) + 1 if last else None]
        return {**_head(version), "Body": Body(part), "ContentLength": len(part)}

    def do_head_object(self, Bucket: str, Key: str, **more: Any) -> dict[str, Any]:
        try:
            return _head(self._find(Key, more))
        except Refusal as refusal:
            raise Refusal("404" if refusal.code == "NoSuchKey" else refusal.code, refusal.message) from None

    def do_copy_object(self, Bucket: str, Key: str, CopySource: Mapping[str, str], **more: Any) -> dict[str, Any]:
        known = {"IfMatch", "IfNoneMatch", "CopySourceIfMatch", "MetadataDirective", "Metadata", "ContentType"}
        if set(more) - known:
            raise SimulationGap(f"S3 arguments {sorted(set(more) - known)}")
        source = self._find(CopySource["Key"], {name: CopySource[name] for name in CopySource if name == "VersionId"})
        if "CopySourceIfMatch" in more and more["CopySourceIfMatch"].strip('"') != source.etag:
            raise Refusal("PreconditionFailed")
        self._check(Key, more.get("IfMatch"), more.get("IfNoneMatch"))
        metadata = more.get("Metadata", {}) if more.get("MetadataDirective") == "REPLACE" else source.metadata
        written = self._write(Key, source.body or b"", metadata, source.content_type)
        return {"CopyObjectResult": {"ETag": written["ETag"]}, "VersionId": written["VersionId"]}

    def do_delete_object(self, Bucket: str, Key: str, **more: Any) -> dict[str, Any]:
        versions = self.objects.get(Key, [])
        if "VersionId" in more:
            self.objects[Key] = [version for version in versions if version.version_id != more["VersionId"]]
            return {}
        self.objects.setdefault(Key, []).append(self._version(None, {}, ""))
        return {"DeleteMarker": True}

    def do_list_object_versions(self, Bucket: str, Prefix: str = "", **_: Any) -> dict[str, Any]:
        found: dict[str, list[Any]] = {"Versions": [], "DeleteMarkers": []}
        for key in sorted(self.objects):
            if key.startswith(Prefix):
                for place, version in enumerate(reversed(self.objects[key])):
                    entry = {**_entry(key, version), "IsLatest": not place}
                    found["DeleteMarkers" if version.body is None else "Versions"].append(entry)
        return found

    def do_list_objects_v2(self, Bucket: str, Prefix: str = "", **_: Any) -> dict[str, Any]:
        there = [(key, versions[-1]) for key, versions in sorted(self.objects.items()) if versions]
        found = [_entry(key, version) for key, version in there if key.startswith(Prefix) and version.body is not None]
        return {"Contents": found, "KeyCount": len(found), "IsTruncated": False}

    # Mechanics

    def _find(self, key: str, more: Mapping[str, Any]) -> Version:
        versions = self.objects.get(key)
        if not versions:
            raise Refusal("NoSuchKey")
        version = versions[-1]
        if "VersionId" in more:
            named = [one for one in versions if one.version_id == more["VersionId"]]
            if not named:
                raise Refusal("NoSuchVersion")
            version = named[0]
        if version.body is None:
            raise Refusal("MethodNotAllowed" if "VersionId" in more else "NoSuchKey")
        if "IfMatch" in more and more["IfMatch"].strip('"') != version.etag:
            raise Refusal("PreconditionFailed")
        return version

    def _check(self, key: str, if_match: str | None, if_none_match: str | None) -> None:
        versions = self.objects.get(key)
        there = versions[-1] if versions and versions[-1].body is not None else None
        if if_none_match is not None and there is not None:
            raise Refusal("PreconditionFailed")
        if if_match is not None:
            if there is None:
                raise Refusal("NoSuchKey")
            if if_match.strip('"') != there.etag:
                raise Refusal("PreconditionFailed")

    def _write(self, key: str, body: bytes, metadata: Mapping[str, str], content_type: str) -> dict[str, Any]:
        version = self._version(body, metadata, content_type)
        self.objects.setdefault(key, []).append(version)
        self.on_written(key, version)
        return {"ETag": f'"{version.etag}"', "VersionId": version.version_id}

    def _version(self, body: bytes | None, metadata: Mapping[str, str], content_type: str) -> Version:
        self._written += 1
        etag = "" if body is None else hashlib.md5(body, usedforsecurity=False).hexdigest()
        return Version(f"v{self._written:06d}", body, etag, dict(metadata), self.scheduler.now, content_type)


def _head(version: Version) -> dict[str, Any]:
    return {
        "ETag": f'"{version.etag}"',
        "VersionId": version.version_id,
        "ContentLength": len(version.body or b""),
        "Metadata": dict(version.metadata),
        "ContentType": version.content_type,
        "LastModified": datetime.fromtimestamp(EPOCH + version.moment, UTC),
    }


def _entry(key: str, version: Version) -> dict[str, Any]:
    return {
        "Key": key,
        "VersionId": version.version_id,
        "ETag": f'"{version.etag}"',
        "Size": len(version.body or b""),
        "LastModified": datetime.fromtimestamp(EPOCH + version.moment, UTC),
    }
