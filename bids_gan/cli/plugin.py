"""Nipype's pool of worker processes and batch systems, made safe against what is killed.

When the system kills a worker (mostly for its memory), Nipype's own pool waits for its answer
for ever. Here the step fails with `WorkerKilled`, and the pool is made anew for the others.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from nipype import config, logging
from nipype.pipeline.plugins.multiproc import MultiProcPlugin

from bids_gan.allocator import return_freed_memory

#: a clean process, not a copy of this one: forking a process with threads may hang
START_METHOD = "forkserver"
_KILLED = (
    "Traceback (most recent call last):\n",
    '  File "worker process"\n',
    "WorkerKilled: the system killed the process of this step, mostly for lack of memory; "
    "give more memory, or fewer processes at once (--nprocs, --mem-mb).\n",
)


class _TidyPool(ProcessPoolExecutor):
    """Pool whose workers give memory back to the system after every task."""

    def submit(self, function, /, *args, **kwargs):
        return super().submit(_run_tidily, function, *args, **kwargs)


def _run_tidily(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    finally:
        return_freed_memory()


class WorkerPoolPlugin(MultiProcPlugin):
    """`MultiProcPlugin` whose workers are quiet, end with this process, and may die.

    ``plugin_args`` as for `MultiProcPlugin`, and ``log_level`` (name, for Nipype in the workers)
    and ``monitor`` (true to record their memory and processor use).
    """

    def __init__(self, plugin_args: dict | None = None):
        super().__init__(plugin_args)
        self.pool.shutdown()
        self.pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        return _TidyPool(
            max_workers=self.processors,
            initializer=_start_worker,
            initargs=(
                dict(os.environ),
                self._cwd,
                self.plugin_args.get("log_level", "CRITICAL"),
                self.plugin_args.get("monitor", False),
            ),
            mp_context=multiprocessing.get_context(START_METHOD),
        )

    def _submit_job(self, node, updatehash=False):
        try:
            return super()._submit_job(node, updatehash)
        except BrokenProcessPool:
            self.pool = self._new_pool()
            return super()._submit_job(node, updatehash)

    def _get_result(self, taskid: int):
        future: Future | None = self._task_obj.get(taskid)
        if future is not None and future.done() and future.exception() is not None:
            killed = isinstance(future.exception(), BrokenProcessPool)
            traceback = list(_KILLED) if killed else [f"{future.exception()!r}\n"]
            return {"result": None, "traceback": traceback, "taskid": taskid}
        return super()._get_result(taskid)

    def _async_callback(self, args: Future) -> None:
        if args.exception() is None:
            super()._async_callback(args)

    def stop(self) -> None:
        """End all workers at once, finished or not."""
        for worker in list((self.pool._processes or {}).values()):
            worker.terminate()
        self.pool.shutdown(wait=False, cancel_futures=True)


class KilledJobsMixin:
    """For plugins of batch systems: a job that left no result fails, and nobody else does.

    Nipype tells of such a job by a text where it wants a list of lines.
    """

    def _report_crash(self, node, result=None):
        if result is not None and isinstance(result["traceback"], str):
            result["traceback"] = result["traceback"].splitlines(keepends=True)
        return super()._report_crash(node, result)


def batch_plugin(plugin: type) -> type:
    """`plugin`, one of Nipype's, made safe against jobs that are killed."""
    return type(plugin.__name__, (KilledJobsMixin, plugin), {})


def _start_worker(environment: dict, cwd: str, log_level: str, monitor: bool) -> None:
    os.environ.update(environment)  # the server that forks them may be of an earlier run
    os.chdir(cwd)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    config.update_config({"logging": dict.fromkeys(_LEVELS, log_level)})
    logging.update_logging(config)
    if monitor:
        config.enable_resource_monitor()


#: Nipype's options for what its loggers let through
_LEVELS = ("workflow_level", "utils_level", "interface_level")


def _end_with_parent() -> None:
    """Leave no worker behind when the main process is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
