"""The tables of a fit and of its account: one object a table, printed in every form."""

from imps.tables.account import (
    back_series_table,
    by_sex_table,
    closure_by_age_table,
    net_and_gross_table,
    new_base_table,
)
from imps.tables.fit import (
    attribution_table,
    closure_table,
    computation_table,
    gap_table,
    groups_table,
    net_migration_table,
    priors_table,
    response_table_of,
    roll_forward_table,
    sources_table,
    stability_table,
    variants_table,
)
from imps.tables.printed import PrintedTable, to_docx
from imps.tables.run import chain_tables, run_tables

Table = PrintedTable
"""Name of the class before version 0.2; it goes with version 0.3."""
