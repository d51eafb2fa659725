/* exp by exp(x) = 2^n exp(r) with |r| <= ln 2 / 2 and a polynomial of degree 7: relative error below 3e-7. */
static inline float hp_exp(float x)
{
    const float top = 88.0f;
    const float y = x > top ? top : (x < -top ? -top : x);
    const float scaled = y * 1.44269504f;
    const int n = (int)(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
    const float k = (float)n;
    const float r = (y - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.98412698e-4f;
    union { uint32_t bits; float value; } power;
    p = p * r + 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    power.bits = (uint32_t)(n + 127) << 23;
    return p * power.value;
}

/* Absolute error below 3e-7. */
static inline float hp_sigmoid(float x) { return 1.0f / (1.0f + hp_exp(-x)); }
static inline float hp_tanh(float x) { return 1.0f - 2.0f / (1.0f + hp_exp(2.0f * x)); }

/* Vectors of four, eight or sixteen floats where the compiler has them (AVX2, NEON, SSE alike), and int8 with
   AVX2 or NEON; HP_PLAIN leaves them out. */
#if defined(__GNUC__) && !defined(HP_PLAIN)
#define HP_VECTORS 1
typedef float hp_f8 __attribute__((vector_size(32)));
typedef float hp_f4 __attribute__((vector_size(16)));
#endif
#if defined(__AVX2__) && !defined(HP_PLAIN)
#define HP_AVX2 1
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(HP_PLAIN)
#define HP_NEON 1
#include <arm_neon.h>
#endif
