"""Docstrings tell the truth: sections match the signature, shapes match a real call.

Every public name of a package has one line in the table ``CALLS`` of the package's
``tests/<package>/cases.py`` that says how to call it. The grammar that is read here:
Google sections; a tensor's shape is written "Shape ``(batch, n)``", alternatives as
"Shape ``()`` or ``(batch,)``", a tuple's in order, leading axes as ``(..., n)``. A
dimension is a number, a symbol or an expression of symbols; a symbol stands for one
number throughout a call, and for the value of the integer argument, or attribute of the
result, of that name. A plain number is a tensor of shape ``()``.
"""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

import pytest
import torch
from torch import Tensor

# Front doors with names that their package does not offer itself.
FAMILIES = (
    "pinn.inverse",
