"""Products y = W x of packed matrices as C functions, one for each matrix, and rows that are looked up.

Sizes are constants in the text, so a compiler unrolls and vectorises what has no vector form here.
"""

from __future__ import annotations

from hyperprune.export.c.matrices import Packed


def product(name: str, packed: Packed, network: str) -> str:
    """The function that multiplies by one matrix."""
    rows, columns = packed.rows, packed.columns
    high, wide = packed.block
    head = f"static void hp_product_{name}({network}_t *self, const float *x, float *y)\n{{\n"
    fields = {
        "name": name,
        "rows": rows,
        "columns": columns,
        "R": high,
        "C": wide,
        "size": high * wide,
        "tall": -(-rows // high),
        "whole": rows // high,
    }
    if packed.number == "int8":
        body = QUANTISED.format(**fields, padding=_padding("self->q", columns, wide))
    elif columns % wide:
        body = f"    memcpy(self->pad, x, {columns} * sizeof(float));\n"
        body += _padding("self->pad", columns, wide) + "    x = self->pad;\n"
    else:
        body = "    (void)self;\n"
    body += TEXTS[packed.number, packed.form].format(**fields)
    return f"{head}{body}}}\n"


def row(name: str, values: str, packed: Packed) -> str:
    """The function that looks a row up, in the tables that go by the name `values`."""
    high, wide = packed.block
    inside = (
        f"j * {high} + row % {high}" if packed.number == "float32" else f"row % {high} * {wide} + j"
    )
    body = ROW_DENSE if packed.form == "dense" else ROW_SPARSE
    return f"static void hp_row_{name}(int32_t token, float *y)\n{{\n" + body.format(
        name=values,
        rows=packed.rows,
        columns=packed.columns,
        scale="" if packed.scales is None else f" * {values}_scales[row]",
        R=high,
        C=wide,
        size=high * wide,
        inside=inside,
        guard="" if packed.columns % wide == 0 else f"if ({values}_at[k] + j < {packed.columns}) ",
    )


def _padding(buffer: str, columns: int, wide: int) -> str:
    """Zeros behind a vector whose last block reaches beyond it."""
    lack = -columns % wide
    zero = "0" if buffer.endswith("q") else "0.0f"
    return "".join(f"    {buffer}[{columns + k}] = {zero};\n" for k in range(lack))


ROW_DENSE = """\
    const int32_t row = token < 0 ? 0 : (token < {rows} ? token : {rows} - 1);
    int k;
    for (k = 0; k < {columns}; k++) y[k] = (float){name}_values[row * {columns} + k]{scale};
}}
"""

ROW_SPARSE = """\
    const int32_t row = token < 0 ? 0 : (token < {rows} ? token : {rows} - 1);
    uint32_t k;
    int j;
    for (j = 0; j < {columns}; j++) y[j] = 0.0f;
    for (k = {name}_starts[row / {R}]; k < {name}_starts[row / {R} + 1]; k++)
        for (j = 0; j < {C}; j++)
            {guard}y[{name}_at[k] + j] =
                (float){name}_values[(int32_t)k * {size} + {inside}]{scale};
}}
"""

DENSE = """\
    int i, k;
    for (i = 0; i < {rows}; i++) {{
        const float *w = {name}_values + i * {columns};
        float total = 0.0f;
        k = 0;
#ifdef HP_VECTORS
        {{
            hp_f8 a = {{0}}, b = {{0}};
            int n;
            for (; k + 16 <= {columns}; k += 16) {{
                hp_f8 w0, w1, x0, x1;
                memcpy(&w0, w + k, 32);
                memcpy(&w1, w + k + 8, 32);
                memcpy(&x0, x + k, 32);
                memcpy(&x1, x + k + 8, 32);
                a += w0 * x0;
                b += w1 * x1;
            }}
            a += b;
            for (n = 0; n < 8; n++) total += a[n];
        }}
#endif
        for (; k < {columns}; k++) total += w[k] * x[k];
        y[i] = total;
    }}
"""

CSR = """\
    int i;
    uint32_t k;
    for (i = 0; i < {rows}; i++) {{
        float total = 0.0f;
        for (k = {name}_starts[i]; k < {name}_starts[i + 1]; k++)
            total += {name}_values[k] * x[{name}_at[k]];
        y[i] = total;
    }}
"""

BLOCKS = """\
    int i, r;
    uint32_t k;
    for (i = 0; i < {tall}; i++) {{
        float a[{R}];
        const int left = i < {whole} ? {R} : {rows} - {whole} * {R};
#if defined(HP_VECTORS) && ({R} == 8 || {R} == 4)
        hp_f{R} total = {{0}};
        for (k = {name}_starts[i]; k < {name}_starts[i + 1]; k++) {{
            const float *w = {name}_values + k * {size};
            const float *at = x + {name}_at[k];
            int j;
            for (j = 0; j < {C}; j++) {{
                hp_f{R} column;
                memcpy(&column, w + j * {R}, sizeof column);
                total += column * at[j];
            }}
        }}
        memcpy(a, &total, sizeof a);
#else
        for (r = 0; r < {R}; r++) a[r] = 0.0f;
        for (k = {name}_starts[i]; k < {name}_starts[i + 1]; k++) {{
            const float *w = {name}_values + k * {size};
            const float *at = x + {name}_at[k];
            int j;
            for (j = 0; j < {C}; j++)
                for (r = 0; r < {R}; r++) a[r] += w[j * {R} + r] * at[j];
        }}
#endif
        for (r = 0; r < left; r++) y[i * {R} + r] = a[r];
    }}
"""


QUANTISED = """\
    const float scale = hp_quantise(x, self->q, {columns});
    const int16_t *q = self->q;
{padding}"""

DENSE_INT8 = """\
    int i, k;
    for (i = 0; i < {rows}; i++) {{
        const int8_t *w = {name}_values + i * {columns};
        int32_t total = 0;
        k = 0;
#ifdef HP_AVX2
        {{
            __m256i a = _mm256_setzero_si256();
            int32_t part[8];
            int n;
            for (; k + 16 <= {columns}; k += 16) {{
                const __m128i eight = _mm_loadu_si128((const __m128i *)(const void *)(w + k));
                const __m256i at = _mm256_loadu_si256((const __m256i *)(const void *)(q + k));
                a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_cvtepi8_epi16(eight), at));
            }}
            _mm256_storeu_si256((__m256i *)(void *)part, a);
            for (n = 0; n < 8; n++) total += part[n];
        }}
#elif defined(HP_NEON)
        {{
            int32x4_t a = vdupq_n_s32(0), b = vdupq_n_s32(0);
            for (; k + 8 <= {columns}; k += 8) {{
                const int16x8_t eight = vmovl_s8(vld1_s8(w + k));
                const int16x8_t at = vld1q_s16(q + k);
                a = vmlal_s16(a, vget_low_s16(eight), vget_low_s16(at));
                b = vmlal_s16(b, vget_high_s16(eight), vget_high_s16(at));
            }}
            total = vaddvq_s32(vaddq_s32(a, b));
        }}
#endif
        for (; k < {columns}; k++) total += (int32_t)w[k] * (int32_t)q[k];
        y[i] = (float)total * scale * {name}_scales[i];
    }}
"""

CSR_INT8 = """\
    int i;
    uint32_t k;
    for (i = 0; i < {rows}; i++) {{
        int32_t total = 0;
        for (k = {name}_starts[i]; k < {name}_starts[i + 1]; k++)
            total += (int32_t){name}_values[k] * (int32_t)q[{name}_at[k]];
        y[i] = (float)total * scale * {name}_scales[i];
    }}
"""

BLOCKS_INT8 = """\
    int i, r;
    uint32_t k;
    for (i = 0; i < {tall}; i++) {{
        int32_t a[{R}];
        const int left = i < {whole} ? {R} : {rows} - {whole} * {R};
#if defined(HP_AVX2) && {R} == 8 && {C} == 4
        /* Two rows' pairs of products a lane of 64 bits: exact in 16 x 16 -> 32 bits. */
        __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
        for (k = {name}_starts[i]; k < {name}_starts[i + 1]; k++) {{
            const int8_t *w = {name}_values + k * 32;
            int64_t four;
            __m256i at;
            memcpy(&four, q + {name}_at[k], 8);
            at = _mm256_set1_epi64x(four);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_cvtepi8_epi16(
                _mm_loadu_si128((const __m128i *)(const void *)w)), at));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_cvtepi8_epi16(
                _mm_loadu_si128((const __m128i *)(const void *)(w + 16))), at));
        }}
        {{
            int32_t part[16];
            _mm256_storeu_si256((__m256i *)(void *)part, low);
            _mm256_storeu_si256((__m256i *)(void *)(part + 8), high);
            for (r = 0; r < 8; r++) a[r] = part[2 * r] + part[2 * r + 1];
        }}
#elif defined(HP_NEON) && {R} == 8 && {C} == 4
        int32x4_t part[8]; /* a row each, summed across at the end */
        for (r = 0; r < 8; r++) part[r] = vdupq_n_s32(0);
        for (k = {name}_starts[i]; k < {name}_starts[i + 1]; k++) {{
            const int8_t *w = {name}_values + k * 32;
            const int16x4_t at = vld1_s16(q + {name}_at[k]);
            for (r = 0; r < 4; r++) {{
                const int16x8_t two = vmovl_s8(vld1_s8(w + 8 * r));
                part[2 * r] = vmlal_s16(part[2 * r], vget_low_s16(two), at);
                part[2 * r + 1] = vmlal_s16(part[2 * r + 1], vget_high_s16(two), at);
            }}
        }}
        for (r = 0; r < 8; r++) a[r] = vaddvq_s32(part[r]);
#else
        for (r = 0; r < {R}; r++) a[r] = 0;
        for (k = {name}_starts[i]; k < {name}_starts[i + 1]; k++) {{
            const int8_t *w = {name}_values + k * {size};
            const int16_t *at = q + {name}_at[k];
            int j;
            for (r = 0; r < {R}; r++)
                for (j = 0; j < {C}; j++) a[r] += (int32_t)w[r * {C} + j] * (int32_t)at[j];
        }}
#endif
        for (r = 0; r < left; r++) y[i * {R} + r] = (float)a[r] * scale * {name}_scales[i * {R} + r];
    }}
"""

TEXTS = {
    ("float32", "dense"): DENSE,
    ("float32", "csr"): CSR,
    ("float32", "blocks"): BLOCKS,
    ("int8", "dense"): DENSE_INT8,
    ("int8", "csr"): CSR_INT8,
    ("int8", "blocks"): BLOCKS_INT8,
}
