"""Devices with certificates over real TLS: who may come in, and who may not."""

import asyncio
import hashlib
import ssl

import pytest

from host_tools.errors import UserError
from tests.hub.client_certificates import Authority, thumbprint
from tests.hub.hub_bench import EVENTS, running
from tests.hub.raw_device import RawDevice, connect, publish, token


async def dial(hub, files, version=None):
    context = ssl.create_default_context(cadata=hub.ca_pem)
    if version:
        context.minimum_version = context.maximum_version = version
    if files:
        context.load_cert_chain(*files)
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, ssl=context, server_hostname="localhost")
    return RawDevice(reader, writer)


async def code(hub, files, device_id="dev1", password=None, version=None):
    """Return the CONNACK code."""
    device = await dial(hub, files, version)
    device.send(connect(device_id, password))
    first, body = await device.receive()
    assert first == 0x20
    if body[1] == 0:
        device.send(publish(EVENTS, b"x", 1))
        assert await device.receive() == (0x40, b"\x00\x01")
    return body[1]


@pytest.mark.parametrize("algorithm", [hashlib.sha1, hashlib.sha256])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_self_signed_certificate_is_known_by_its_thumbprint(run, tmp_path, algorithm, version):
    async def scenario():
        async with running(tmp_path / "hub") as hub:
            files = Authority("anything", is_authority=False).files(tmp_path)
            found = thumbprint(files[0], algorithm)
            spelled = ":".join(found[index : index + 2] for index in range(0, len(found), 2))
            hub.devices.create("dev1", authentication="selfSigned", secondary_thumbprint=spelled)
            assert await code(hub, files, version=version) == 0
            (tmp_path / "other").mkdir()
            assert await code(hub, Authority("anything", is_authority=False).files(tmp_path / "other")) == 5
            assert await code(hub, None) == 5

    run(scenario())


def test_a_chain_is_followed_to_an_authority_and_must_name_the_device(run, tmp_path):
    async def scenario():
        async with running(tmp_path / "hub") as hub:
            root = Authority("root")
            line = root.between("line")
            wrong = Authority("root")  # of the same name, with another key
            cases = {
                "direct": (root.device("dev1"), 0),
                "between": (line.device("dev1"), 0),
                "long": (line.between("deeper").device("dev1"), 0),
                "of another": (line.device("dev2"), 5),
                "wrong root": (wrong.device("dev1"), 5),
                "expired": (line.device("dev1", days=-1), 5),
                "issued by a device": (Authority("dev1", root.device("dev3"), is_authority=False), 5),
                "expired line": (root.device("x").__class__("line", root, days=-1).device("dev1"), 5),
            }
            hub.devices.create("dev1", authentication="certificateAuthority")
            folder = tmp_path / "files"
            folder.mkdir()
            assert await code(hub, cases["direct"][0].files(folder)) == 5, "the authority is not known yet"
            hub.authorities.add("root", root.pem)
            for name, (holder, expected) in cases.items():
                assert await code(hub, holder.files(folder)) == expected, name
            hub.authorities.remove("root")
            assert await code(hub, cases["direct"][0].files(folder)) == 5

    run(scenario())


def test_a_certificate_does_not_replace_a_key_nor_a_key_a_certificate(run, tmp_path):
    async def scenario():
        async with running(tmp_path / "hub") as hub:
            files = Authority("dev1", is_authority=False).files(tmp_path)
            key = hub.devices.create("dev1").primary_key
            assert await code(hub, files) == 5
            hub.devices.update("dev1", authentication="selfSigned", primary_thumbprint=thumbprint(files[0]))
            assert await code(hub, None, password=token(key, "localhost/devices/dev1")) == 5
            assert await code(hub, files) == 0
            hub.devices.update("dev1", status="disabled")
            assert await code(hub, files) == 5

    run(scenario())


def test_what_is_no_authority_is_refused(tmp_path, run):
    async def scenario():
        async with running(tmp_path) as hub:
            for pem in ("hello", Authority("x", is_authority=False).pem):
                with pytest.raises(UserError, match="authority"):
                    hub.authorities.add("x", pem)
            with pytest.raises(UserError, match="thumbprint"):
                hub.devices.create("dev1", authentication="selfSigned", primary_thumbprint="zz")

    run(scenario())
