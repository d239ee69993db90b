"""Pages that need nothing but themselves: their look, tables and charts."""

from .charts import COLOURS, Axis, Line, chart
from .document import document, figure, key, table

__all__ = ["COLOURS", "Axis", "Line", "chart", "document", "figure", "key", "table"]
