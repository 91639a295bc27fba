"""Search of the catalogue as you type: an SQLite full-text index, and a scan without one."""

from segue.catalogue_search.catalogue import (
    CatalogueSearch,
    open_index,
    scan_items,
    write_index,
)

__all__ = ["CatalogueSearch", "open_index", "scan_items", "write_index"]
