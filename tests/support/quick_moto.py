"""moto with less work for what no test is about: importing this is enough.

- Of each value of a DynamoDB item moto looks for all ten types, under three names each. A value has one of them.
- Each subscription of SNS makes an RSA key to sign with. Here all have one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from moto.core.serialize import BaseJSONSerializer
from moto.sns.models import Subscription

_serialize = BaseJSONSerializer._serialize_type_structure


def _serialize_what_is_there(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    is_value = shape.name == "AttributeValue" and key and isinstance(value, dict)
    if not is_value or not value.keys() <= shape.members.keys():
        _serialize(self, serialized, value, shape, key)
        return
    of_type = self.MAP_TYPE()
    for name in value:
        member = shape.members[name]
        member.parent = shape
        self._serialize_structure_member(of_type, value, member, name)
    self._default_serialize(serialized, of_type, shape, key)


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


BaseJSONSerializer._serialize_type_structure = _serialize_what_is_there  # type: ignore[method-assign]
Subscription.private_key = lambda _: _key()  # type: ignore[method-assign,assignment]
