"""Where a workflow may lead, and with which key: this computer, the table's servers, what the environment lists."""

from __future__ import annotations

import pytest

from higgs_runtime import SettingError
from higgs_runtime.remote.allowed import check_cluster, remote_key
from higgs_runtime.remote.client import Remote
from higgs_runtime.remote.servers import SERVERS

BOSON, SERVE, VLLM = SERVERS["Boson AI"], SERVERS["higgs serve"], SERVERS["vLLM-Omni"]
LAN = "http://192.168.0.9:8000/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("HIGGS_REMOTE_URLS", "HIGGS_REMOTE_KEYS", "HIGGS_CLUSTER_ADDRESSES", "VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("BOSON_API_KEY", "HIGGS_API_KEY", "OTHER_SECRET"):
        monkeypatch.setenv(name, f"value of {name}")
    return monkeypatch.setenv


@pytest.mark.parametrize(
    "url", ["", "https://api.boson.ai/v1", "https://api.boson.ai:443/v2/", "HTTPS://API.BOSON.AI/v1"]
)
def test_a_key_goes_to_the_host_that_it_belongs_to(url):
    assert remote_key(BOSON, url) == remote_key(BOSON, url, "BOSON_API_KEY") == "value of BOSON_API_KEY"


def test_a_chat_server_has_no_usual_place_and_no_usual_key(environment):
    for url in ("http://127.0.0.1:8080/v1", "http://localhost:11434/v1", "http://[::1]:1/v1"):
        assert remote_key(None, url) == ""
    for url in (LAN, BOSON.url, "https://api.openai.com/v1", "", "http://127.0.0.1@example.org/v1"):
        with pytest.raises(SettingError):
            remote_key(None, url)
    with pytest.raises(SettingError, match="HIGGS_REMOTE_KEYS"):
        remote_key(None, "http://127.0.0.1:8080/v1", "OTHER_SECRET")
    environment("HIGGS_REMOTE_KEYS", "OTHER_SECRET")
    with pytest.raises(SettingError, match="HIGGS_REMOTE_URLS"):
        remote_key(None, "http://127.0.0.1:8080/v1", "OTHER_SECRET")
    environment("HIGGS_REMOTE_URLS", f"{LAN},{BOSON.url}")
    for url in (SERVE.url, BOSON.url, LAN):  # the keys of speech are for speech
        for variable in ("HIGGS_API_KEY", "BOSON_API_KEY"):
            with pytest.raises(SettingError, match="HIGGS_REMOTE_KEYS"):
                remote_key(None, url, variable)
    assert remote_key(None, LAN, "OTHER_SECRET") == "value of OTHER_SECRET" and remote_key(None, LAN) == ""


def test_a_key_is_one_line(environment):
    environment("BOSON_API_KEY", "a key\r\n")
    assert remote_key(BOSON, "") == "a key"
    environment("BOSON_API_KEY", "\r\n")
    with pytest.raises(SettingError, match="BOSON_API_KEY is not set"):
        remote_key(BOSON, "", "BOSON_API_KEY")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.boson.ai/v1",
        "https://api.boson.ai:8443/v1",
        "https://api.boson.ai.example.org/v1",
        "https://example.org/api.boson.ai/v1",
        LAN,
        "http://10.0.0.1/v1",
        "http://0.0.0.0:8000/v1",
        "http://127.1:8000/v1",
        "http://localhost.example.org/v1",
        "http://2130706433/v1",
        "http://[::ffff:10.0.0.1]/v1",
    ],
)
@pytest.mark.parametrize("variable", ["", "BOSON_API_KEY"])
def test_another_address_is_refused_with_how_to_allow_it(url, variable):
    with pytest.raises(SettingError, match="may not send text and clips to http.*add http.* to HIGGS_REMOTE_URLS"):
        remote_key(BOSON, url, variable)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.boson.ai@example.org/v1",
        "https://example.org\\@api.boson.ai/v1",
        "https://api.boson.ai/v1?x=",
        "https://api.boson.ai/v1#x",
        "https://api.boson.ai\\.example.org",
        "https://api.boson.ai%2eexample.org/v1",
        "https://api.boson.ai\t.example.org/v1",
        "https://\uff41pi.boson.ai/v1",
        "https://api.boson.ai/v1/../admin",
        "https://api.boson.ai:x/v1",
        "https://[::1/v1",
        "https:///v1",
        "ftp://127.0.0.1/v1",
        "127.0.0.1:8000",
        "file:///v1",
        "http://127.0.0.1:8000/v1?",
        "http://127.0.0.1:8000/v1#",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_none(url):
    with pytest.raises(SettingError, match="no address of a server"):
        remote_key(BOSON, url)
    with pytest.raises(SettingError, match="no address of a server"):
        Remote(BOSON, url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9999/v1", "http://localhost:1/v1", "https://[::1]/v1", "http://127.3.2.1"]
)
def test_this_computer_needs_no_leave_but_gets_no_key_of_another(url):
    assert remote_key(BOSON, url) == remote_key(SERVE, url) == ""
    with pytest.raises(SettingError, match="BOSON_API_KEY may not go to .*HIGGS_REMOTE_URLS.*no key is sent"):
        remote_key(BOSON, url, "BOSON_API_KEY")


def test_the_usual_place_on_this_computer_gets_its_key():
    assert remote_key(SERVE, "") == "value of HIGGS_API_KEY"


def test_no_server_gets_the_key_of_another():
    assert remote_key(SERVE, BOSON.url) == ""
    for server, url, variable in (
        (SERVE, BOSON.url, "HIGGS_API_KEY"),
        (SERVE, "", "BOSON_API_KEY"),
        (BOSON, SERVE.url, "BOSON_API_KEY"),
    ):
        with pytest.raises(SettingError, match=f"{variable} may not go to"):
            remote_key(server, url, variable)


@pytest.mark.parametrize("variable", ["OTHER_SECRET", "PATH", "boson_api_key", "BOSON_API_KEY,OTHER_SECRET"])
def test_another_variable_is_refused_whether_it_is_set_or_not(variable, environment):
    environment("HIGGS_REMOTE_URLS", LAN)
    for url in ("", LAN):
        with pytest.raises(SettingError, match=f"'{variable}'.*add {variable} to HIGGS_REMOTE_KEYS") as found:
            remote_key(BOSON, url, variable)
        assert "value of" not in str(found.value)


def test_addresses_in_the_environment_are_allowed(environment):
    environment("HIGGS_REMOTE_URLS", f" https://example.org:443/speech/ ,, {LAN}")
    environment("HIGGS_REMOTE_KEYS", "MORE, OTHER_SECRET")
    for url in ("https://example.org/speech", "https://example.org/speech/v1", LAN + "/"):
        assert remote_key(BOSON, url) == "value of BOSON_API_KEY"
        assert remote_key(BOSON, url, "OTHER_SECRET") == "value of OTHER_SECRET"
    assert remote_key(BOSON, "", "OTHER_SECRET") == "value of OTHER_SECRET"
    for url in (
        "https://example.org/speeches",
        "https://example.org",
        "http://192.168.0.9:8000",
        "http://192.168.0.9/v1",
    ):
        with pytest.raises(SettingError, match="may not send"):
            remote_key(BOSON, url)
    with pytest.raises(SettingError, match="MORE is not set"):
        remote_key(BOSON, LAN, "MORE")


def test_a_list_that_holds_no_address_says_so(environment):
    environment("HIGGS_REMOTE_URLS", "192.168.0.9:8000")
    with pytest.raises(SettingError, match="An entry of HIGGS_REMOTE_URLS is no address.*192.168.0.9:8000"):
        remote_key(BOSON, LAN)


def test_an_unset_key_is_an_error_only_where_it_is_named():
    assert remote_key(VLLM, "") == ""
    with pytest.raises(SettingError, match="VLLM_API_KEY is not set"):
        remote_key(VLLM, "", "VLLM_API_KEY")


@pytest.mark.parametrize("address", ["", "auto", "local", "127.0.0.1:6379", "localhost:6379", "[::1]:6379"])
def test_clusters_of_this_computer_need_no_leave(address):
    check_cluster(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5:6379",
        "head:6379",
        "127.0.0.1:6379@head:1",
        "ray://127.0.0.1:10001",
        "127.0.0.1",
        "localhost",
        "[::1",
        "head:1#127.0.0.1:2",
        "AUTO",
    ],
)
def test_another_cluster_has_to_be_listed(address, environment):
    with pytest.raises(SettingError, match="may not connect.*HIGGS_CLUSTER_ADDRESSES"):
        check_cluster(address)
    environment("HIGGS_CLUSTER_ADDRESSES", f"other:1, {address}")
    check_cluster(address)
