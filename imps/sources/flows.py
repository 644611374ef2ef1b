"""Flows from a passenger survey, with the sampling error of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import CALENDAR_YEARS
from imps.errors import LabelError, SourceError, some
from imps.names import AGE_GROUP, FLOWS, SEX, SEXES, YEAR
from imps.sources.definitions import (
    AGES,
    AT_MOVE,
    USUAL_RESIDENTS,
    Counted,
    check_basis,
    check_complete,
    check_dims,
    check_positive,
    check_sexes,
)
from imps.sources.stocks import BY_SEX_AND_AGE, TOTAL
from imps.survey.variance_function import errors_at_expected, smoothed_standard_errors


@dataclass(frozen=True)
class Era:
    """Years in which the coverage of a survey is known to have been another than in the rest.

    Its bias then has a step of its own, with the prior `FLOW_bias_era`.

    Attributes
    ----------
    first_year, last_year : int
        Years of the survey, calendar or mid-years as its basis is; both belong to the era.
    reason : str
        What was different, known without looking at the gap.
    """

    first_year: int
    last_year: int
    reason: str

    def __post_init__(self) -> None:
        if not self.first_year <= self.last_year:
            raise SourceError(
                f"era {self.first_year} to {self.last_year} ends before it begins: give first_year "
                "up to last_year."
            )

    def __str__(self) -> str:
        return f"{self.first_year} to {self.last_year}"


@dataclass(frozen=True)
class SurveyFlow:
    """One direction of migration as estimated by a survey, year by year.

    Attributes
    ----------
    flow : {"immigration", "emigration"}
    estimate : DataArray (year, sex, age_group), persons per year
    standard_error : DataArray, same labels, persons per year
        Sampling error of each cell (accuracy); bias has a prior.
    contacts : DataArray, same labels
        Migrants interviewed.
    lower_ages : DataArray (sex, age_group)
        First age of each group; the last group is open.
    definition : str
        What is counted, for example "IPS long-term migrants".
    vintage, reference : str
    observed : {"sex and age", "total"}
        "total": only all ages and both sexes were published; the cells are a
        schedule scaled to it, and so are their standard errors, which give the
        published one as the root of their sum of squares.
    basis : {"calendar year", "mid-year"}
        What `year` means; a mid-year flow covers the interval that ends at mid-`year`.
    variance_function : str
        How standard errors and contacts were reached where they were not
        published, in words; empty where they were.
    unobserved : DataArray of bool, same labels, or None
        Cells that were not published. They are in no likelihood; what stands in
        them is a schedule that keeps the arrays whole, see
        :func:`imps.project.flows.fill_unobserved`.
    counted : Counted
        Geography, unit, residents and measure of the figures.
    by_sex : bool
        False where only persons were published, of whom each sex has a half as a schedule.
    ages : {"at the move", "at the end of the year"}
        What an age of the figures is.
    eras : tuple of Era
        Years whose coverage is known to differ; none of them may span all years, for a
        step that never ends is the level of the bias.
    """

    flow: str
    estimate: xr.DataArray
    standard_error: xr.DataArray
    contacts: xr.DataArray
    lower_ages: xr.DataArray
    definition: str
    vintage: str
    reference: str
    observed: str = BY_SEX_AND_AGE
    basis: str = CALENDAR_YEARS
    variance_function: str = ""
    unobserved: xr.DataArray | None = None
    counted: Counted = USUAL_RESIDENTS
    eras: tuple[Era, ...] = ()
    by_sex: bool = True
    ages: str = AT_MOVE

    def __post_init__(self) -> None:
        if self.observed not in (BY_SEX_AND_AGE, TOTAL):
            raise SourceError(
                f"survey flow '{self.flow}': observed is '{self.observed}', expected "
                f"'{BY_SEX_AND_AGE}' or '{TOTAL}'."
            )
        if self.ages not in AGES:
            raise SourceError(
                f"survey flow '{self.flow}': ages are '{self.ages}', expected one of {AGES}."
            )
        if self.flow not in FLOWS:
            raise SourceError(f"survey flow '{self.flow}': expected one of {FLOWS}.")
        check_basis(self.basis, self.flow)
        for what, array in (
            ("estimate", self.estimate),
            ("standard error", self.standard_error),
            ("number of contacts", self.contacts),
        ):
            check_dims(array, (YEAR, SEX, AGE_GROUP), self.flow)
            check_sexes(array, self.flow)
            check_complete(array, self.flow, what)
            self._same_cells(array)
        check_positive(self.standard_error, self.flow, "standard error")
        if not (self.lower_ages.diff(AGE_GROUP) > 0).all():
            raise LabelError(
                f"source '{self.flow}': age groups are not in the order of age, or begin at the "
                f"same age: {some(self.estimate[AGE_GROUP].values.tolist())}. Sort them."
            )
        if self.unobserved is not None:
            check_dims(self.unobserved, (YEAR, SEX, AGE_GROUP), self.flow)
            self._same_cells(self.unobserved)
        self._check_eras()

    def _check_eras(self) -> None:
        first, last = int(self.years.min()), int(self.years.max())
        for era in self.eras:
            if era.last_year < first or era.first_year > last:
                raise SourceError(
                    f"survey flow '{self.flow}': era {era} lies outside its years {first} to "
                    f"{last}. Remove it."
                )
            if era.first_year <= first and era.last_year >= last:
                raise SourceError(
                    f"survey flow '{self.flow}': era {era} covers all its years {first} to {last}. "
                    "A bias that is the same in all of them is the level: remove the era."
                )
        if len({str(era) for era in self.eras}) < len(self.eras):
            raise SourceError(f"survey flow '{self.flow}': an era is given twice.")

    def _same_cells(self, array: xr.DataArray) -> None:
        for dim in (YEAR, AGE_GROUP):
            if not np.array_equal(array[dim].values, self.estimate[dim].values):
                raise LabelError(
                    f"source '{self.flow}': cells disagree on '{dim}': "
                    f"{array[dim].values.tolist()} against {self.estimate[dim].values.tolist()}."
                )

    @property
    def name(self) -> str:
        """Name of the source in messages: its direction."""
        return self.flow

    @property
    def detail(self) -> str:
        """What is counted and the detail in which it was published, in words."""
        cells = "by sex and age group" if self.by_sex else "by age group"
        if self.observed == TOTAL:
            cells = "totals only; sexes and age groups are a schedule"
        return f"{self.definition}, {self.basis}s {cells}"

    @property
    def years(self) -> np.ndarray:
        """Years of the survey, calendar or mid-years as `basis` says."""
        return self.estimate[YEAR].values

    @property
    def observed_cells(self) -> np.ndarray:
        """Whether each cell was published, (year, sex, age_group)."""
        if self.unobserved is None:
            return np.ones(self.estimate.shape, dtype=bool)
        return ~self.unobserved.values

    @property
    def published_axes(self) -> tuple[int, ...]:
        """Axes of (year, sex, age group) over which figures were published in sum."""
        return (1, 2) if self.observed == TOTAL else () if self.by_sex else (1,)

    @classmethod
    def from_table(
        cls,
        table: pd.DataFrame,
        flow: str,
        *,
        definition: str,
        vintage: str,
        reference: str,
    ) -> SurveyFlow:
        """Build from a tidy table of published cells.

        Parameters
        ----------
        table : DataFrame
            Columns year, flow, sex, age_group, estimate (persons), contacts, and
            standard_error or half_width_95 (persons). Half-widths are turned into
            errors smoothed over cells by
            :func:`imps.survey.variance_function.smoothed_standard_errors`, so that
            a small cell is not thought certain; errors that follow their own estimates
            are taken at the expected figures
            (:func:`imps.survey.variance_function.errors_at_expected`). Age groups are
            written "0-14", "45-59/64" (women/men where the bounds differ) or "60/65+".
        """
        rows = table[table["flow"] == flow]
        if rows.empty:
            raise SourceError(f"the survey table has no rows with flow '{flow}'.")
        if "standard_error" not in rows:
            rows = rows.assign(standard_error=smoothed_standard_errors(rows))
        groups = list(dict.fromkeys(rows["age_group"]))
        groups = list(lower_ages(groups).sortby(lower_ages(groups).sum(SEX))[AGE_GROUP].values)
        cells = {
            what: _cells(rows, what, groups) for what in ("estimate", "standard_error", "contacts")
        }
        estimate, error = cells["estimate"], cells["standard_error"]
        at, _ = errors_at_expected(estimate.values, error.values, np.isfinite(estimate.values))
        return cls(
            flow=flow,
            estimate=estimate,
            standard_error=error.copy(data=at),
            contacts=cells["contacts"],
            lower_ages=lower_ages(groups),
            definition=definition,
            vintage=vintage,
            reference=reference,
        )

    @classmethod
    def from_totals(
        cls,
        flow: str,
        total: xr.DataArray,
        standard_error: xr.DataArray,
        contacts: xr.DataArray,
        *,
        schedule: xr.DataArray,
        **fields: Any,
    ) -> SurveyFlow:
        """A flow of which only totals were published; `schedule` gives sexes and ages.

        Parameters
        ----------
        flow : {"immigration", "emigration"}
        total, standard_error : DataArray (year), persons per year
            All ages and both sexes.
        contacts : DataArray (year)
        schedule : DataArray (year, sex, age_group), persons per year
            Only its shares count. If it has all the years of `total`, each year
            takes its own shares, else all take the pooled ones. Age groups are
            written as in :meth:`from_table`.
        **fields
            definition, vintage, reference, basis, variance_function.

        Returns
        -------
        SurveyFlow
            With `observed` "total". Variances and contacts are shared among the
            cells like the pooled schedule;
            variances add up to the square of the standard error given.
        """
        cells, dims = (SEX, AGE_GROUP), (YEAR, SEX, AGE_GROUP)
        pooled = schedule.sum(YEAR) / schedule.sum()
        years = total[YEAR].values
        yearly = bool(np.isin(years, schedule[YEAR].values).all())
        own = schedule.sel({YEAR: years}) if yearly else pooled
        return cls(
            flow=flow,
            estimate=(own / own.sum(cells) * total).transpose(*dims),
            standard_error=(pooled**0.5 * standard_error).transpose(*dims),
            contacts=(pooled * contacts).transpose(*dims),
            lower_ages=lower_ages([str(g) for g in schedule[AGE_GROUP].values]),
            observed=TOTAL,
            **fields,
        )


def _cells(rows: pd.DataFrame, what: str, groups: list[str]) -> xr.DataArray:
    years = sorted(rows["year"].unique())
    index = pd.MultiIndex.from_product([years, SEXES, groups], names=[YEAR, SEX, AGE_GROUP])
    series = rows.set_index([YEAR, SEX, AGE_GROUP])[what]
    double = series.index[series.index.duplicated()]
    if len(double):
        raise LabelError(f"survey table: the cell {double[0]} stands there twice.")
    values = series.reindex(index).to_numpy(float)
    return xr.DataArray(
        values.reshape(len(years), len(SEXES), len(groups)),
        dims=(YEAR, SEX, AGE_GROUP),
        coords={YEAR: years, SEX: list(SEXES), AGE_GROUP: groups},
    )


def lower_ages(groups: list[str]) -> xr.DataArray:
    """First ages (sex, age_group) of groups; "60/65+" begins at 60 for women, 65 for men."""
    lower = []
    for group in groups:
        first = group.rstrip("+").split("-")[0].split("/")
        try:
            women, men = int(first[0]), int(first[-1])
        except ValueError:
            raise LabelError(
                f"age group '{group}' is not written like '15-24', '45-59/64' or '60/65+'."
            ) from None
        lower.append((men, women))
    return xr.DataArray(
        np.array(lower, dtype=float).T,
        dims=(SEX, AGE_GROUP),
        coords={SEX: list(SEXES), AGE_GROUP: groups},
    )
