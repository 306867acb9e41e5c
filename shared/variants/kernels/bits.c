/* The loops over bitmaps of an order's index (order_index.py): what each does is told in __init__.py. Row i is bit
   i & 63 of word i >> 6; what is behind the last row is 0. */

#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

typedef int64_t i64;
typedef uint8_t u8;
typedef uint64_t u64;

#ifdef __x86_64__
#define WIDE __attribute__((target("avx2,popcnt")))
#define HAS_WIDE (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"))
#else
#define WIDE
#define HAS_WIDE 0
#endif

/* One bit for each of 64 bytes, which are 0 or 255. */
static inline u64 gathered(const u8 *fits)
{
    u64 bits = 0;
#ifdef __x86_64__
    for (int i = 0; i < 4; i++)
        bits |= (u64)(uint16_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(fits + 16 * i))) << (16 * i);
#else
    for (int i = 0; i < 64; i++)
        bits |= (u64)(fits[i] & 1) << i;
#endif
    return bits;
}

/* From `low` to `low + span`: what is below `low` wraps round to more than any span. */
#define WITHIN(name, type, how)                                                                                    \
    how static void name(const type *codes, i64 n, type low, type span, u64 *words)                                \
    {                                                                                                              \
        u8 fits[64];                                                                                               \
        for (i64 i = 0; i < n; i += 64) {                                                                          \
            const int m = n - i < 64 ? (int)(n - i) : 64;                                                          \
            if (m == 64)                                                                                           \
                for (int j = 0; j < 64; j++)                                                                       \
                    fits[j] = (u8)-((type)(codes[i + j] - low) <= span);                                           \
            else {                                                                                                 \
                memset(fits, 0, 64);                                                                               \
                for (int j = 0; j < m; j++)                                                                        \
                    fits[j] = (u8)-((type)(codes[i + j] - low) <= span);                                           \
            }                                                                                                      \
            words[i >> 6] = gathered(fits);                                                                        \
        }                                                                                                          \
    }

WITHIN(within_8, uint8_t, )
WITHIN(within_16, uint16_t, )
WITHIN(within_32, uint32_t, )
WITHIN(within_8_wide, uint8_t, WIDE)
WITHIN(within_16_wide, uint16_t, WIDE)
WITHIN(within_32_wide, uint32_t, WIDE)

void bits_within(const void *codes, i64 size, i64 n, uint32_t low, uint32_t span, u64 *words)
{
    const int wide = HAS_WIDE;
    if (size == 1)
        (wide ? within_8_wide : within_8)(codes, n, (uint8_t)low, (uint8_t)span, words);
    else if (size == 2)
        (wide ? within_16_wide : within_16)(codes, n, (uint16_t)low, (uint16_t)span, words);
    else
        (wide ? within_32_wide : within_32)(codes, n, low, span, words);
}

#define COMMON(name, how)                                                                                          \
    how static void name(const u64 *words, const u64 *bitmaps, i64 n, i64 k, i64 *found)                           \
    {                                                                                                              \
        for (i64 j = 0; j < k; j++) {                                                                              \
            const u64 *bitmap = bitmaps + j * n;                                                                   \
            i64 sum = 0;                                                                                           \
            for (i64 i = 0; i < n; i++)                                                                            \
                sum += __builtin_popcountll(words[i] & bitmap[i]);                                                 \
            found[j] = sum;                                                                                        \
        }                                                                                                          \
    }

COMMON(common, )
COMMON(common_wide, WIDE)

/* `some` has room for n numbers: where few words are not 0, only these are looked at in the bitmaps. */
void bits_common(const u64 *words, const u64 *bitmaps, i64 n, i64 k, int32_t *some, i64 *found)
{
    i64 m = 0;
    for (i64 i = 0; i < n; i++) {
        some[m] = (int32_t)i;
        m += words[i] != 0;
    }
    if (m > n / 16) {
        (HAS_WIDE ? common_wide : common)(words, bitmaps, n, k, found);
        return;
    }
    for (i64 j = 0; j < k; j++) {
        found[j] = 0;
        for (i64 i = 0; i < m; i++)
            found[j] += __builtin_popcountll(words[some[i]] & bitmaps[j * n + some[i]]);
    }
}

i64 bits_rows(const u64 *words, i64 n, i64 *rows)
{
    i64 found = 0;
    for (i64 i = 0; i < n; i++)
        for (u64 word = words[i]; word; word &= word - 1)
            rows[found++] = i << 6 | __builtin_ctzll(word);
    return found;
}

/* What the pairs of a class depend on, as inheritance.py tells: origin 0 is neither parent's, set and side 0 not phased.
   The numbers by set and by side are of one gene each, so they begin as 0 and are never cleared. */
typedef struct {
    const int32_t *gene, *origin, *set, *side;
    i64 *n, *in_set, *on_side, *of_both; /* of_both: set * 3 + origin */
} Classes;

/* Partners of a row of class c that are in trans or, if not `in_trans`, those that are not in cis. */
static i64 partners(const Classes *k, i64 c, i64 in_gene, const i64 *of_origin, int in_trans)
{
    const int32_t origin = k->origin[c], set = k->set[c], other = (3 - origin) % 3;
    const i64 same_set = set ? k->in_set[set] : 0, same_side = set ? k->on_side[k->side[c]] : 0;
    const i64 same_origin = origin ? of_origin[origin] : 0, same_both = set && origin ? k->of_both[set * 3 + origin] : 0;
    if (in_trans)
        return same_set - same_side + (origin ? of_origin[other] : 0) - (set && origin ? k->of_both[set * 3 + other] : 0);
    return in_gene - (same_side + same_origin - same_both + (!set && !origin)); /* a row itself is among them */
}

void bits_paired(const u64 *words, const int32_t *rows, const i64 *starts, i64 classes, const Classes *k, int in_trans,
                 u64 *marked)
{
    for (i64 c = 0; c < classes; c++)
        for (i64 i = starts[c]; i < starts[c + 1]; i++)
            k->n[c] += words[rows[i] >> 6] >> (rows[i] & 63) & 1;
    for (i64 first = 0, last; first < classes; first = last) {
        i64 in_gene = 0, of_origin[3] = {0};
        for (last = first; last < classes && k->gene[last] == k->gene[first]; last++) {
            in_gene += k->n[last];
            of_origin[k->origin[last]] += k->n[last];
            k->in_set[k->set[last]] += k->n[last];
            k->on_side[k->side[last]] += k->n[last];
            k->of_both[k->set[last] * 3 + k->origin[last]] += k->n[last];
        }
        for (i64 c = first; in_gene > 1 && c < last; c++)
            if (k->n[c] && partners(k, c, in_gene, of_origin, in_trans) > 0)
                for (i64 i = starts[c]; i < starts[c + 1]; i++)
                    marked[rows[i] >> 6] |= words[rows[i] >> 6] & (u64)1 << (rows[i] & 63);
    }
}
