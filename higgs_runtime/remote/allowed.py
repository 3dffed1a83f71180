"""Where a workflow may lead, and which keys may go there.

A workflow can come from anybody; the environment comes from the person who starts ComfyUI. So a workflow chooses among
what the tables of this runtime name, this computer itself, and what the environment lists, and among nothing else.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import SettingError
from .servers import SERVERS, RemoteServer

URLS, KEYS, CLUSTERS = "HIGGS_REMOTE_URLS", "HIGGS_REMOTE_KEYS", "HIGGS_CLUSTER_ADDRESSES"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ServerAddress:
    """Where a server is.

    Attributes:
        origin: scheme, host in small letters, port.
        path: without a slash at its end.
    """

    origin: tuple[str, str, int]
    path: str

    def holds(self, other: ServerAddress) -> bool:
        return self.origin == other.origin and f"{other.path}/".startswith(f"{self.path}/")


def remote_key(server: RemoteServer | None, url: str, variable: str = "") -> str:
    """The key that a workflow's request may carry; "" for none.

    A key belongs to the host of the server in the table whose variable it is (where the environment lists the variable:
    to that of the chosen server), and to what HIGGS_REMOTE_URLS lists.

    Args:
        server: None: one that is in no table; only this computer and what the environment lists is open to it, and only
            variables of HIGGS_REMOTE_KEYS.
        url: as the workflow says; "" the server's usual one.
        variable: that holds the key, as the workflow says; "" the server's usual one, where its key may go there.

    Raises:
        SettingError: the workflow may not lead there, not use this variable, or not send it there; it is not set.
    """
    place = _checked(server, url)
    name = variable or (server.key_variable if server else "")
    if not name:
        return ""
    table = SERVERS.values() if server else ()
    owners = [one for one in table if one.key_variable == name]
    if not owners and name not in _listed(KEYS):
        known = dict.fromkeys([*(one.key_variable for one in table), *_listed(KEYS)])
        raise SettingError(
            f"A workflow may not send what is in the environment variable '{name}'.",
            expected=" or ".join(known) or "a variable that you allow, or none",
            got=f"'{name}'",
            remedy=f"If it is the key of a server: {_how(KEYS, name)}.",
        )
    homes = [place_of(one.url) for one in owners or ([server] if server else [])]
    if not any(home.origin == place.origin for home in homes) and not _is_listed(place):
        if not variable:
            return ""
        raise SettingError(
            f"The key in {name} may not go to {_shown(place)}.",
            expected="the server that the key belongs to",
            got=_shown(place),
            remedy=f"If you trust this server: {_how(URLS, _shown(place))}. Or leave the variable "
            "empty: no key is sent then.",
        )
    if variable and not os.environ.get(name, "").strip():
        raise SettingError(
            f"The environment variable {name} is not set.",
            expected="the server's key",
            got="nothing",
            remedy="Set it where ComfyUI is started, then start ComfyUI again.",
        )
    return os.environ.get(name, "").strip()  # of a file with Windows' line ends


def check_cluster(address: str) -> None:
    """Refuse the address of a cluster that a workflow may not connect to.

    Raises:
        SettingError: it is neither this computer, nor in HIGGS_CLUSTER_ADDRESSES.
    """
    host, _, port = address.rpartition(":")
    here = address in ("", "auto", "local") or port.isdecimal() and _loops_back(host.strip("[]"))
    if not here and address not in _listed(CLUSTERS):
        raise SettingError(
            "A workflow may not connect to this cluster.",
            expected="'auto', 'local' or an address that you allow",
            got=f"'{address}'",
            remedy=f"If the cluster is yours: {_how(CLUSTERS, address)}.",
        )


def _checked(server: RemoteServer | None, url: str) -> ServerAddress:
    """The place, if a workflow may lead to it: text and clips go there, also without a key."""
    place = place_of(url.strip() or (server.url if server else ""))
    usual = server is not None and any(place_of(one.url).origin == place.origin for one in SERVERS.values())
    if not (usual or _loops_back(place.origin[1]) or _is_listed(place)):
        raise SettingError(
            f"A workflow may not send text and clips to {_shown(place)}.",
            expected=f"this computer, {'the usual place of a server, ' if server else ''}or an address that you allow",
            got=_shown(place),
            remedy=f"If you trust this server: {_how(URLS, _shown(place))}.",
        )
    return place


def place_of(url: str, whose: str = "This") -> ServerAddress:
    """The URL of a server in parts.

    Raises:
        SettingError: it is none, holds a name, password or query, or two programs may not take it apart alike.
    """
    try:
        parts = urlsplit(url)
        port = PORTS[parts.scheme] if parts.port is None else parts.port
        plain = url.isascii() and url.isprintable() and not set(url) & set(" \\@?#%")
        if not plain or not parts.hostname or {".", ".."} & set(parts.path.split("/")):
            raise ValueError("not plain")
    except (ValueError, KeyError) as error:  # no number as port, brackets that do not match; another scheme
        raise SettingError(
            f"{whose} is no address of a server.",
            expected="http:// or https://, host and path, without name, password or key",
            got=repr(url.rpartition("@")[2].partition("?")[0][:100]),
            remedy="Write it like http://192.168.0.9:8000/v1; keys belong into an environment variable.",
        ) from error
    return ServerAddress((parts.scheme, parts.hostname, port), parts.path.rstrip("/"))


def _shown(place: ServerAddress) -> str:
    scheme, host, port = place.origin
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}{'' if port == PORTS[scheme] else f':{port}'}{place.path}"


def _loops_back(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_listed(place: ServerAddress) -> bool:
    return any(place_of(one, f"An entry of {URLS}").holds(place) for one in _listed(URLS))


def _listed(variable: str) -> list[str]:
    return [one.strip() for one in os.environ.get(variable, "").split(",") if one.strip()]


def _how(variable: str, entry: str) -> str:
    return f"add {entry} to {variable} (commas between several) in the environment, and start ComfyUI again"
