"""CloudFormation's events, made to tell of what an update does: MiniStack tells of all resources of the stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

Properties = Mapping[str, Any]


class _Begun:
    """The first event of a resource in an update, held back until something is done to the resource."""

    def __init__(self, add: Callable[..., None], *event: Any) -> None:
        self._add = add
        self._stack_id, self._stack_name, self._logical_id, self._type, _ = event
        self.prefix = ""

    def tell(self, prefix: str) -> None:
        """Add the event: ``CREATE`` or ``UPDATE``."""
        if not self.prefix:
            self.prefix = prefix
            self._add(self._stack_id, self._stack_name, self._logical_id, self._type, f"{prefix}_IN_PROGRESS")

    def is_of(self, stack_id: str, logical_id: str) -> bool:
        """Whether an event is of the same resource."""
        return (self._stack_id, self._logical_id) == (stack_id, logical_id)


_begun: ContextVar[_Begun | None] = ContextVar("_begun", default=None)


def tell_of_changes_only() -> None:
    """Leave out the events of resources that an update does not change, and let those that it makes be created."""
    from ministack.services.cloudformation import stacks

    add, update, provision = stacks._add_event, stacks._update_resource, stacks._provision_resource
    if getattr(add, "tells_of_changes_only", False):
        return

    def add_event(
        stack_id: str, stack_name: str, logical_id: str, kind: str, status: str, *rest: Any, **named: Any
    ) -> None:
        if status == "UPDATE_IN_PROGRESS" and not rest and not named:
            _begun.set(_Begun(add, stack_id, stack_name, logical_id, kind, status))
            return
        begun = _begun.get()
        if begun is not None and begun.is_of(stack_id, logical_id):
            if status == "UPDATE_COMPLETE" and not begun.prefix:
                return
            begun.tell("UPDATE")
            status = status.replace("UPDATE", begun.prefix)
        add(stack_id, stack_name, logical_id, kind, status, *rest, **named)

    def update_resource(kind: str, physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        begun = _begun.get()
        if begun is not None and old != new:
            begun.tell("UPDATE")
        return update(kind, physical_id, old, new, *rest)

    def provision_resource(*arguments: Any) -> Any:
        begun = _begun.get()
        if begun is not None:
            begun.tell("CREATE")
        return provision(*arguments)

    add_event.tells_of_changes_only = True  # type: ignore[attr-defined]
    stacks._add_event, stacks._update_resource, stacks._provision_resource = (
        add_event,
        update_resource,
        provision_resource,
    )
