"""All that ``make bench`` measures, in the order of its report; ``docs/speed.md`` has a row for each."""

from __future__ import annotations

from benchmarks import client, many, overhead, packing, push, sizing, starting, synthesis, warming
from benchmarks.report import Section

SECTIONS = [
    Section(
        "synthesis",
        "An endpoint in an app",
        "Messages to jsii's process, resources and bytes of the template are counted; seconds are the median of"
        f" {synthesis.ROUNDS} apps that are made and synthesized. Bare is the README's first endpoint; full has"
        " scaling, an alarm, and rollbacks by it. The hand-written L1s allow what ours allow; the alpha module's"
        " endpoint has one model, and a role that may do anything in SageMaker.",
        synthesis.rows,
        {"rounds": 1},
    ),
    Section(
        "importing",
        "Importing the library",
        f"What it adds to an app that imports the same modules of aws_cdk, by `-X importtime`; the best of"
        f" {synthesis.ROUNDS}.",
        synthesis.import_rows,
        {"rounds": 1},
    ),
    Section(
        "packing",
        "Models at synth: packed for the first time, and unchanged",
        "Each row is an app of its own with one store, as `cdk synth` runs it; processor time and memory are those of"
        f" its Python process. Of unchanged ones the fastest of {packing.REPEATS}. The files compress as"
        " float32 weights do.",
        packing.rows,
        {"gigabytes": 0.01, "cases": 2, "repeats": 1},
    ),
    Section(
        "push",
        "Publishing models",
        f"`mme push` and the AWS CLI (version 1, from PyPI), to the same local S3; the best of {push.ROUNDS} rounds."
        " Models are random bytes, which nothing compresses, and archives are as `tar -czf` makes them. For the AWS CLI"
        " a folder is packed by `tar -czf` first. `aws s3 cp` uploads, and what is unchanged is left to `aws s3 sync`;"
        " for an unchanged folder it has nothing.",
        push.rows,
        {"kinds": [(1, 50_000)], "rounds": 1},
    ),
    Section(
        "client",
        "The client, in a Lambda function",
        "Beside boto3's own client of the same service: processor time, the best of"
        f" {client.ROUNDS}. The first rows are of a new Python process, as at a cold start; a call is one of"
        f" {client.CALLS}, one after the other, to a server in the same process that answers at once. What is"
        " installed is what pip has unpacked, with all dependencies and without compiled Python.",
        client.rows,
        {"rounds": 1, "calls": 10},
    ),
    Section(
        "many",
        "Many endpoints, and many models",
        "Processor time, which a busy machine hardly changes, and memory: of Python and the CDK's Node.js, from the"
        " first construct to the end of the synthesis; of `mme push --each` of models of a few bytes, and of the"
        " `mme-local` process that keeps them in memory; and of the latter for the first call of one model beside"
        " them. The ratio is that of the time per item to the first row of the same kind: about 1 is linear, less is"
        " better.",
        many.rows,
        {"endpoints": (1,), "models": (1,), "published": (2,)},
    ),
    Section(
        "waits",
        "What a caller waits, straight to the model server and through the local endpoint",
        "Milliseconds of warm calls; one caller, one instance.",
        overhead.waits,
        {"servers": ["Triton"], "rounds": 1, "calls": 2, "warm_up": 1},
    ),
    Section(
        "throughput",
        "Calls a second, the same two ways",
        f"{overhead.CALLERS} callers, one instance, the best of {overhead.ROUNDS} rounds. Client, `mme-local` and model"
        " server have only these cores: once all are busy, the share is what is left for the model server, so it rises"
        " with the work of the model and with the cores.",
        overhead.throughput,
        {"servers": ["Multi Model Server"], "rounds": 1, "seconds": 0.1, "warm_up": 1},
    ),
    Section(
        "starting",
        "What comes before an answer",
        f"Milliseconds: `mme serve` until it answers (median of {starting.STARTS}), the first call of a model (median"
        f" of {starting.FIRST_CALLS}) by its parts, and the real CDK CLI from nothing to both stacks here.",
        starting.rows,
        {"starts": 1, "servers": ["Multi Model Server"], "first_calls": 1, "deploy": False},
    ),
    Section(
        "warm_up",
        "First callers, with a warm-up and without",
        f"Milliseconds that the first caller of each of {warming.MODELS} models waits, {warming.ROUNDS} times, and what"
        f" {warming.CALLERS} callers of each at the same time wait when a second instance has just come; and seconds"
        " until they could call, the warm-up included. After evictions and a scale-out the function is invoked as a"
        " schedule would. Triton; a call takes 50 ms.",
        warming.rows,
        {"models": 2, "rounds": 1, "events": ("an update",)},
    ),
    Section(
        "sizing",
        "What mme size predicts, and what comes",
        f"{sizing.CALLS} calls of {sizing.NUMBER} models of different sizes by Zipf's law, replayed on one instance"
        " with `--memory-budget`, one call after the other, beginning with nothing in memory. Hits and loads are"
        " predicted from the files and the trace. Loads a second are those of the replay, predicted for as many calls a"
        " second as it made. A cold call's wait is its time without that of a warm one; it is predicted from the loads"
        " and unloads that `mme size --measure 4` takes on another server at the same time, since what else the machine"
        " does slows both down.",
        sizing.rows,
        {"servers": ["Multi Model Server"], "skews": (1.0,), "budgets": (3,), "number": 4, "calls": 8},
    ),
]
