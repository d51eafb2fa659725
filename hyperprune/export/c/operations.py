"""Torch's operations that a step in C may use, and what they are in C."""

from __future__ import annotations

from typing import Any

import torch

aten = torch.ops.aten

RESHAPES = {aten.view, aten._unsafe_view, aten.reshape}
VIEWS = {
    *RESHAPES,
    aten.squeeze,
    aten.unsqueeze,
    aten.permute,
    aten.transpose,
    aten.t,
    aten.expand,
    aten.slice,
    aten.select,
    aten.split,
    aten.split_with_sizes,
    aten.alias,
    aten.detach,
}
COPIES = {aten.clone, aten._to_copy}
ARITHMETIC: dict[Any, str] = {
    aten.add: "{0} + {1}",
    aten.sub: "{0} - {1}",
    aten.mul: "{0} * {1}",
    aten.div: "{0} / {1}",
    aten.neg: "-{0}",
    aten.abs: "fabsf({0})",
    aten.sigmoid: "hp_sigmoid({0})",
    aten.tanh: "hp_tanh({0})",
    aten.exp: "hp_exp({0})",
    aten.log: "logf({0})",
    aten.log1p: "log1pf({0})",
    aten.gelu: "(0.5f * {0} * (1.0f + erff({0} * 0.707106781f)))",
    aten.relu: "({0} > 0.0f ? {0} : 0.0f)",
    aten.sqrt: "sqrtf({0})",
    aten.pow: "powf({0}, {1})",
    aten.sin: "sinf({0})",
    aten.cos: "cosf({0})",
    aten.silu: "({0} * hp_sigmoid({0}))",
    aten.rsqrt: "(1.0f / sqrtf({0}))",
    aten.maximum: "({0} > {1} ? {0} : {1})",
    aten.minimum: "({0} < {1} ? {0} : {1})",
    aten.where: "({0} != 0.0f ? {1} : {2})",
    aten.eq: "({0} == {1} ? 1.0f : 0.0f)",
    aten.ne: "({0} != {1} ? 1.0f : 0.0f)",
    aten.ge: "({0} >= {1} ? 1.0f : 0.0f)",
    aten.gt: "({0} > {1} ? 1.0f : 0.0f)",
    aten.le: "({0} <= {1} ? 1.0f : 0.0f)",
    aten.lt: "({0} < {1} ? 1.0f : 0.0f)",
    aten.logical_not: "({0} != 0.0f ? 0.0f : 1.0f)",
}
REDUCTIONS = {
    aten.sum: ("0.0f", "a += {0};"),
    aten.amax: ("-INFINITY", "if ({0} > a) a = {0};"),
    aten.mean: ("0.0f", "a += {0};"),
}
