#!/usr/bin/env python3
"""Runs a sweep's shards as tasks of HyperQueue, and merges them.

    examples/hyperqueue/sweep.py [--shards N] [--cpus N] [--server-dir DIR] [--koch PROGRAM] SPEC OUT

A HyperQueue server with workers is running; SPEC, its networks and OUT are where every worker sees them. Shard I of N
goes to OUT.shards/I. Run again after a failure, it computes only what is missing. Exit code 1 if a shard fails.

Needs the PyPI package hyperqueue, of the server's version, and its dependencies tqdm and cloudpickle.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys

from hyperqueue import Client, Job
from hyperqueue.ffi.protocol import ResourceRequest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=pathlib.Path, metavar="SPEC")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--shards", type=int, default=16, help="tasks; a few for each worker level their loads")
    parser.add_argument("--cpus", type=int, default=1, help="cores, and threads, of a task")
    parser.add_argument("--server-dir", help="as given to `hq server start`; HyperQueue's default otherwise")
    parser.add_argument("--koch", default="koch", help="the program, on every worker")
    args = parser.parse_args()

    spec, out = args.spec.resolve(), args.out.resolve()
    koch = shutil.which(args.koch) or sys.exit(f"{args.koch}: no such program; give its path with --koch")
    koch = str(pathlib.Path(koch).resolve())
    shards = [out.with_name(f"{out.name}.shards") / str(i) for i in range(1, args.shards + 1)]

    job = Job(name=f"koch sweep {spec.name}", max_fails=None)
    for i, shard in enumerate(shards, 1):
        shard.parent.mkdir(parents=True, exist_ok=True)
        part = f"{i}/{args.shards}"
        job.program(
            [koch, "sweep", str(spec), "-o", str(shard), "--shard", part, "--threads", str(args.cpus)],
            name=part,
            cwd=shard.parent,
            stdout=f"{shard}.out",
            stderr=f"{shard}.err",
            resources=ResourceRequest(cpus=args.cpus),
        )
    client = Client(args.server_dir)
    submitted = client.submit(job)
    if not client.wait_for_jobs([submitted], raise_on_error=False):
        for task, failed in client.get_failed_tasks(submitted).items():
            print(f"shard {task + 1}: {failed.error}; see {failed.stderr}", file=sys.stderr)
        sys.exit(1)
    sys.exit(subprocess.run([koch, "merge", *shards, "-o", out]).returncode)


if __name__ == "__main__":
    main()
