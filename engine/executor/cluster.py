"""A Dask cluster: the same tasks on other machines, with the same results. Needs the extra `cluster`.

A Dask scheduler and its workers unpickle all data that reaches their ports, so anyone who can connect can run code. So
the scheduler must be on this machine's loopback address, or use mutual TLS: HEYTRADERS_CLUSTER_CA,
HEYTRADERS_CLUSTER_CERT and HEYTRADERS_CLUSTER_KEY name the files.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from api.errors import UserMustAct

from . import MAX_ATTEMPTS, SETTING, Array, P, Task, V, WorkerLost

_TLS: Final = ("HEYTRADERS_CLUSTER_CA", "HEYTRADERS_CLUSTER_CERT", "HEYTRADERS_CLUSTER_KEY")
_CONNECT_SECONDS: Final = 10
_TASKS_A_WORKER: Final = 3
"""The remaining parameters are cut into this many tasks for each worker, so later tasks are smaller and all workers end
together."""
_NOTICE_SECONDS: Final = 1.0
"""How long the scheduler gets to notice that a worker is gone."""
_MOST_PACKED: Final = 5
"""Parameters of one Dask task at most, so that progress is seen and a cancelled worker is soon free."""


class ClusterExecutor:
    """Tasks on the workers of a Dask scheduler at `host:port`."""

    def __init__(self, address: str) -> None:
        files = _tls_files(address)
        try:
            self._dask: Any = import_module("distributed")
        except ImportError:
            raise UserMustAct(
                f"{SETTING} names a Dask cluster, and dask.distributed is not installed",
                suggestion="Install heytraders-mcp[cluster], or unset the setting to use this machine's cores",
            ) from None
        security = None
        if files is not None:
            ca, certificate, key = files
            security = self._dask.Security(
                tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
            )
        try:
            self._client: Any = self._dask.Client(
                f"{'tls' if security else 'tcp'}://{address}",
                security=security,
                timeout=_CONNECT_SECONDS,
                set_as_default=False,
                direct_to_workers=True,
            )
        except (OSError, TimeoutError) as error:
            raise UserMustAct(
                f"the Dask scheduler at {address} does not answer ({type(error).__name__})",
                suggestion="Start it, or unset the setting to use this machine's cores",
            ) from None
        self._arrays: dict[str, Array] = {}
        self._sent: Any = None

    @property
    def workers(self) -> int:
        """Threads of all current workers of the scheduler."""
        return max(1, sum(self._client.nthreads().values()))

    def share(self, name: str, array: Array) -> None:
        """Give every later task an array; all arrays are sent together, once to each worker."""
        self._arrays[name] = array
        self._sent = None

    def map(self, task: Task[P, V], parameters: Sequence[P]) -> Iterator[tuple[int, V]]:
        """Run the task once for each parameter, in any order. Dask reruns a task whose worker died.

        Raises:
            WorkerLost: Workers died repeatedly.
        """
        left = dict(enumerate(parameters))
        for _ in range(MAX_ATTEMPTS):
            packs = _packs(list(left), self.workers)
            try:
                submitted = self._submit(task, [[left[i] for i in pack] for pack in packs])
            except OSError:
                # A worker died before it had the arrays. Once the scheduler has noticed, the others get them.
                self._sent = None
                time.sleep(_NOTICE_SECONDS)
                continue
            futures = dict(zip(submitted, packs, strict=True))
            try:
                for future in self._dask.as_completed(list(futures), loop=self._client.loop):
                    if future.status == "finished":
                        try:
                            values = future.result()
                        except self._dask.client.FutureCancelledError:
                            # Its worker died before the result was fetched. The task runs again.
                            continue
                        for index, value in zip(futures[future], values, strict=True):
                            del left[index]
                            yield index, value
                    elif not self._lost(future):
                        raise future.exception()
            finally:
                self._client.cancel(list(futures))
            if not left:
                return
            self._sent = None
        raise WorkerLost("the cluster's workers died repeatedly")

    def close(self) -> None:
        """Disconnect from the cluster, which drops all data of this client."""
        self._arrays.clear()
        self._sent = None
        self._client.close()

    def _submit(self, task: Task[P, V], packs: list[list[P]]) -> list[Any]:
        """One message for all tasks. They are one group with one dependency, so the scheduler keeps them in a queue and
        gives each worker the next one when it is free."""
        if self._sent is None:
            [self._sent] = self._client.scatter([self._arrays], broadcast=True, hash=False)
        return self._client.map(_run, packs, task=task, shared=self._sent, pure=False, retries=0)

    def _lost(self, future: Any) -> bool:
        """Whether the task failed because its worker was lost, not because of the task."""
        killed: type[BaseException] = self._dask.KilledWorker
        return future.status in ("lost", "cancelled") or isinstance(future.exception(), killed)


def _packs(indices: list[int], workers: int) -> list[list[int]]:
    """The indices of each Dask task, in order."""
    packs: list[list[int]] = []
    while indices:
        size = min(max(1, len(indices) // (_TASKS_A_WORKER * workers)), _MOST_PACKED)
        packs.append(indices[:size])
        indices = indices[size:]
    return packs


def _run(parameters: Sequence[P], *, task: Task[P, V], shared: Mapping[str, Array]) -> list[V]:
    return [task(shared, parameter) for parameter in parameters]


def _tls_files(address: str) -> tuple[str, str, str] | None:
    """The files for mutual TLS; `None` for a scheduler on loopback without them.

    Raises:
        UserMustAct: The address is not on loopback and the files are missing.
    """
    ca, certificate, key = (os.environ.get(name, "") for name in _TLS)
    if ca and certificate and key:
        return ca, certificate, key
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost" or _is_loopback(host):
        return None
    raise UserMustAct(
        f"{SETTING} names {address}, which is not on this machine, without TLS",
        suggestion=f"Set {', '.join(_TLS)} to the files of mutual TLS: anyone who reaches a Dask port can run code",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
