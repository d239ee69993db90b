"""The local endpoint: SageMaker's multi-model endpoints on your own machine, behind AWS's own API."""


def main() -> None:
    """Run the ``mme-local`` command, or say which extra it needs."""
    try:
        from mme_local.cli import cli
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"mme-local needs {error.name}: pip install 'cdk-multi-model-endpoint[local]' brings all it needs"
        ) from error
    cli()
