"""What the estimators share: ``fit(X)``, ``sample(n)``, save and load in scikit-learn's manner."""

import json
import secrets
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from wasserscore.core.errors import InputError, explain, require
from wasserscore.core.files import write_json
from wasserscore.core.tensors import as_floats
from wasserscore.core.typing import Array
from wasserscore.data import Dataset
from wasserscore.data.tables import Codec
from wasserscore.data.tables.columns import SPECIAL
from wasserscore.data.tables.dataset import from_frame
from wasserscore.experiment.model import Model

FILE = "estimator.json"
G = TypeVar("G", bound="Generator")
KINDS = {"columns": "table", "scalar": "vectors"}


class Generator(BaseEstimator):
    """What all generators share; a subclass says how it is fitted.

    Columns that never change are left out of the model and come back in the samples; samples are
    cut to the range of the training data, and where this is a table their numbers come as often
    as in it (:mod:`wasserscore.data.margins`). ``__init__`` accepts anything and ``fit`` checks
    it, as scikit-learn's conventions ask.

    An array in, arrays out; a pandas DataFrame in, DataFrames with its columns and dtypes out. One
    with text, dates, booleans or missing cells goes through its codec
    (:mod:`wasserscore.data.tables`), whose metric stands in for ``scaling``.
    """

    def fit(self: G, X: Any, y: Any = None) -> G:
        """Fit the model to the rows of ``X``.

        Args:
            X: Array or DataFrame (n, d), at least two rows.
            y: Ignored.

        Raises:
            InputError: On cells that cannot be used, by column.
        """
        require(self.scaling in KINDS, f"scaling must be one of {', '.join(KINDS)}",
                got=repr(self.scaling))  # fmt: skip
        dtypes = tuple(map(str, X.dtypes)) if isinstance(X, pd.DataFrame) else None
        if _needs_codec(X):
            validate_data(self, X, skip_check_array=True)  # notes the names of the columns
            data = from_frame(X, name="X", source="a DataFrame")
        else:
            rows = self._rows(X, ensure_min_samples=2)
            names = getattr(self, "feature_names_in_", None)
            data = Dataset.build(
                rows, name="X", kind=KINDS[self.scaling],  # type: ignore[arg-type]
                columns=None if names is None else tuple(map(str, names)),
                dtypes=None if names is None else dtypes,
            )  # fmt: skip
        self.model_: Model = self._fit_model(data, _seed(self.random_state))
        self.score_model_ = self.model_.score
        return self

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array | pd.DataFrame:
        """New rows (n_samples, d) in the units, columns and range of the training data.

        An array, or after a DataFrame with text as column names a DataFrame with its dtypes
        (integers are rounded).

        Args:
            n_samples: How many.
            random_state: Seed; the estimator's own if None. Row i depends on it and on i only.
        """
        check_is_fitted(self)
        seed = _seed(self.random_state if random_state is None else random_state)
        rows, layout = self._draw(n_samples, seed), self.model_.layout
        bare = layout.codec is None and layout.dtypes is None
        return rows.numpy() if bare else layout.frame(rows)

    def save(self, path: str | Path) -> Path:
        """Write the fitted estimator into a folder: safetensors and JSON, no pickle."""
        check_is_fitted(self)
        folder = Path(path)
        write_json(folder / FILE, {
            "class": type(self).__name__,
            "parameters": self.get_params(),
            "n_features_in_": self.n_features_in_,
            "feature_names_in_": getattr(self, "feature_names_in_", None),
        })  # fmt: skip
        self.model_.save(folder)
        return folder

    @classmethod
    def load(cls: type[G], path: str | Path) -> G:
        """The estimator that :meth:`save` wrote.

        Raises:
            InputError: If the folder holds something else.
        """
        file = Path(path) / FILE
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            own = cls(**found["parameters"]) if found["class"] == cls.__name__ else None
            features, names = int(found["n_features_in_"]), found["feature_names_in_"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(explain(f"{file} cannot be read", got=repr(error)[:200],
                                     do="save the estimator again")) from None  # fmt: skip
        if own is None:
            raise InputError(explain(f"{file} must describe a {cls.__name__}", got=found["class"],
                                     do="load it with its own class"))  # fmt: skip
        own.model_ = Model.load(Path(path))
        own.score_model_ = own.model_.score
        own.n_features_in_ = features
        if names is not None:
            own.feature_names_in_ = np.asarray(names, dtype=object)
        return own

    def _fit_model(self, data: Dataset, seed: int) -> Model:
        raise NotImplementedError

    def _draw(self, n: int, seed: int) -> Tensor:
        return self.model_.sample(n, seed=seed, solver=self.solver, steps=self.steps)

    def _log_density(self, X: Any) -> Array:
        check_is_fitted(self)
        require(self.model_.layout.codec is None, "only rows of numbers have a density",
                got="a model of a table with text, dates, booleans, missing cells or numbers that "
                "come again and again",
                do="compare samples instead, with wasserscore.audit")  # fmt: skip
        out: Array = self.model_.log_density(self._rows(X, reset=False)).numpy()
        return out

    def _rows(self, X: Any, **checks: Any) -> Tensor:
        """Rows of numbers as scikit-learn wants them; of the forms it does not know, ours."""
        if isinstance(X, np.ma.MaskedArray | Tensor):
            X = as_floats(X, "X").detach().cpu().numpy()
        return as_floats(validate_data(self, X, dtype=np.float64, **checks), "X")


def _needs_codec(X: Any) -> bool:
    """Whether a table has other cells than numbers, or numbers that are not taken as they are."""
    if not isinstance(X, pd.DataFrame):
        return False
    numbers = [pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t)
               for t in X.dtypes]  # fmt: skip
    if not all(numbers) or bool(X.isna().to_numpy().any()):
        return True
    named = X.shape[0] > 0 and all(isinstance(name, str) for name in X.columns)
    return named and any(column.kind in SPECIAL for column in Codec.infer(X).columns)


def _seed(random_state: Any) -> int:
    """An integer seed: itself, one drawn from a generator, or fresh entropy for None."""
    if random_state is None:
        return secrets.randbits(62)
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))
