/* The loops over bytes under shared/variants/vcf: what each does is told in __init__.py, by which Python calls it.

   A field is a pair of offsets, starts[i] <= ends[i]. Nothing here reads outside text[0..size) or writes outside what
   the caller gave room for. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

typedef int64_t i64;
typedef uint8_t u8;

/* Fields of one column stand a record apart, too far for the processor to see where the next will be. */
#define AHEAD 16
#define FETCH_AHEAD(i) __builtin_prefetch(text + starts[(i) + AHEAD < n ? (i) + AHEAD : n - 1])

static const char digest[] = DIGEST; /* of the sources, when they were compiled */

const char *kernels_digest(void) { return digest; }

/* One bit for each of 64 bytes: is it `byte`? */
static inline uint64_t matches(const u8 *at, u8 byte)
{
    uint64_t bits = 0;
#ifdef __x86_64__
    const __m128i wanted = _mm_set1_epi8((char)byte);
    for (int i = 0; i < 4; i++) {
        const __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(at + 16 * i)), wanted);
        bits |= (uint64_t)(uint16_t)_mm_movemask_epi8(equal) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)(at[i] == byte) << i;
#endif
    return bits;
}

static inline void note(uint64_t bits, i64 at, int32_t *found, i64 room, i64 *n)
{
    for (; bits; bits &= bits - 1) {
        if (*n < room)
            found[*n] = (int32_t)(at + __builtin_ctzll(bits));
        ++*n;
    }
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static i64 find_wide(const u8 *text, i64 size, const u8 *bytes, i64 k,
                                                     int32_t *const *found, i64 room, i64 *n)
{
    i64 i = 0;
    for (; i + 64 <= size; i += 64) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)(text + i));
        const __m256i high = _mm256_loadu_si256((const __m256i *)(text + i + 32));
        for (i64 j = 0; j < k; j++) {
            const __m256i wanted = _mm256_set1_epi8((char)bytes[j]);
            const uint32_t first = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted));
            const uint32_t second = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted));
            note((uint64_t)second << 32 | first, i, found[j], room, n + j);
        }
    }
    return i;
}
#endif

void kernels_find(const u8 *text, i64 size, const u8 *bytes, i64 k, int32_t *const *found, i64 room, i64 *n)
{
    i64 i = 0;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        i = find_wide(text, size, bytes, k, found, room, n);
#endif
    for (; i + 64 <= size; i += 64)
        for (i64 j = 0; j < k; j++)
            note(matches(text + i, bytes[j]), i, found[j], room, n + j);
    for (; i < size; i++)
        for (i64 j = 0; j < k; j++)
            note(text[i] == bytes[j], i, found[j], room, n + j);
}

i64 kernels_offsets(const i64 *starts, const i64 *ends, const u8 *valid, i64 n, int32_t *offsets, u8 *bitmap)
{
    i64 total = 0;
    offsets[0] = 0;
    for (i64 i = 0; i < n; i++) {
        if (!valid)
            total += ends[i] - starts[i];
        else if (valid[i]) {
            total += ends[i] - starts[i];
            bitmap[i >> 3] |= (u8)(1 << (i & 7));
        }
        if (total > INT32_MAX)
            return -1;
        offsets[i + 1] = (int32_t)total;
    }
    return total;
}

/* `out` has 16 bytes more than the fields need, so that short ones are copied without asking how short. */
void kernels_copy(const u8 *text, i64 size, const i64 *starts, const int32_t *offsets, i64 n, u8 *out)
{
    for (i64 i = 0; i < n; i++) {
        const i64 length = offsets[i + 1] - offsets[i];
        FETCH_AHEAD(i);
        if (length <= 16 && starts[i] + 16 <= size)
            memcpy(out + offsets[i], text + starts[i], 16);
        else
            memcpy(out + offsets[i], text + starts[i], (size_t)length);
    }
}

i64 kernels_split(const int32_t *found, i64 n_found, const i64 *starts, const i64 *ends, i64 n, i64 *counts,
                  i64 *part_starts, i64 *part_ends)
{
    i64 at = 0, parts = 0;
    for (i64 i = 0; i < n; i++) {
        const i64 first = parts;
        while (at < n_found && found[at] < starts[i])
            at++;
        part_starts[parts] = starts[i];
        for (; at < n_found && found[at] < ends[i]; at++) {
            part_ends[parts++] = found[at];
            part_starts[parts] = found[at] + 1;
        }
        part_ends[parts++] = ends[i];
        counts[i] = parts - first;
    }
    return parts;
}

void kernels_first(const int32_t *found, i64 n_found, const i64 *starts, const i64 *ends, i64 n, i64 *first)
{
    i64 at = 0;
    for (i64 i = 0; i < n; i++) {
        while (at < n_found && found[at] < starts[i])
            at++;
        first[i] = at < n_found && found[at] < ends[i] ? found[at] : -1;
    }
}

static inline int is_missing(const u8 *text, i64 start, i64 end)
{
    return end == start || (end == start + 1 && text[start] == '.');
}

static inline int is_digit(u8 byte) { return byte >= '0' && byte <= '9'; }

i64 kernels_integers(const u8 *text, const i64 *starts, const i64 *ends, i64 n, i64 *values, u8 *bitmap, u8 *unsure)
{
    i64 n_unsure = 0;
    for (i64 i = 0; i < n; i++) {
        FETCH_AHEAD(i);
        i64 at = starts[i], value = 0;
        const i64 end = ends[i];
        values[i] = 0;
        unsure[i] = 0;
        if (is_missing(text, at, end))
            continue;
        const int negative = text[at] == '-';
        at += negative;
        i64 left = end - at;
        int good = left >= 1 && left <= 18;
        for (; good && at < end; at++) {
            good = is_digit(text[at]);
            value = value * 10 + (text[at] - '0');
        }
        if (good) {
            values[i] = negative ? -value : value;
            bitmap[i >> 3] |= (u8)(1 << (i & 7));
        } else {
            unsure[i] = 1;
            n_unsure++;
        }
    }
    return n_unsure;
}

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* digits, digits.digits, and an exponent of one or two digits behind either. Where the digits make an integer below
   2^53 and the power of ten is at most 22, both are exact doubles, so that one operation rounds as it must (Clinger
   1990, "How to read floating point numbers accurately"). */
static int read_double(const u8 *at, const u8 *end, double *value)
{
    uint64_t digits = 0;
    int power = 0, negative = at < end && *at == '-';
    at += negative;
    if (end - at > 19 + 4 || at == end || !is_digit(*at))
        return 0;
    const u8 *first = at;
    for (; at < end && is_digit(*at); at++)
        digits = digits * 10 + (uint64_t)(*at - '0');
    i64 n_digits = at - first;
    if (at < end && *at == '.') {
        const u8 *fraction = ++at;
        for (; at < end && is_digit(*at); at++)
            digits = digits * 10 + (uint64_t)(*at - '0');
        power = -(int)(at - fraction);
        n_digits += at - fraction;
        if (!power)
            return 0;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        int exponent = 0, below = 0;
        at++;
        if (at < end && (*at == '-' || *at == '+'))
            below = *at++ == '-';
        if (end - at < 1 || end - at > 2)
            return 0;
        for (; at < end && is_digit(*at); at++)
            exponent = exponent * 10 + (*at - '0');
        power += below ? -exponent : exponent;
    }
    if (at != end || n_digits > 19 || digits >= (uint64_t)1 << 53 || power < -22 || power > 22)
        return 0;
    const double whole = (double)digits;
    const double result = power < 0 ? whole / powers[-power] : whole * powers[power];
    *value = negative ? -result : result;
    return 1;
}

i64 kernels_floats(const u8 *text, const i64 *starts, const i64 *ends, i64 n, double *values, u8 *bitmap, u8 *unsure)
{
    i64 n_unsure = 0;
    for (i64 i = 0; i < n; i++) {
        FETCH_AHEAD(i);
        values[i] = 0;
        unsure[i] = 0;
        if (is_missing(text, starts[i], ends[i]))
            continue;
        if (read_double(text + starts[i], text + ends[i], values + i))
            bitmap[i >> 3] |= (u8)(1 << (i & 7));
        else {
            unsure[i] = 1;
            n_unsure++;
        }
    }
    return n_unsure;
}

void kernels_missing(const u8 *text, const i64 *starts, const i64 *ends, i64 n, u8 *missing)
{
    for (i64 i = 0; i < n; i++) {
        FETCH_AHEAD(i);
        missing[i] = ends[i] == starts[i] + 1 && text[starts[i]] == '.';
    }
}

static inline uint64_t mixed(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0x9E3779B97F4A7C15u;
    return a ^ (a >> 29);
}

static uint64_t hash(const u8 *at, i64 length)
{
    uint64_t sum = (uint64_t)length, word = 0;
    for (; length >= 8; at += 8, length -= 8) {
        memcpy(&word, at, 8);
        sum = mixed(sum, word);
    }
    word = 0;
    for (i64 i = 0; i < length; i++)
        word |= (uint64_t)at[i] << (8 * i);
    sum = mixed(sum, word) * 0xD6E8FEB86659FD93u;
    return sum ^ sum >> 32;
}

typedef struct {
    uint64_t hash;
    i64 code; /* 1-based; 0 is an empty slot */
} Slot;

/* Doubles the table. Returns 0 without memory. */
static int grow(Slot **slots, uint64_t *mask)
{
    const uint64_t wide = *mask * 2 + 1;
    Slot *fresh = calloc(wide + 1, sizeof(Slot));
    if (!fresh)
        return 0;
    for (uint64_t i = 0; i <= *mask; i++)
        if ((*slots)[i].code) {
            uint64_t at = (*slots)[i].hash & wide;
            while (fresh[at].code)
                at = (at + 1) & wide;
            fresh[at] = (*slots)[i];
        }
    free(*slots);
    *slots = fresh;
    *mask = wide;
    return 1;
}

i64 kernels_encode(const u8 *text, const i64 *starts, const i64 *ends, const u8 *valid, i64 n, int32_t *codes,
                   i64 *firsts)
{
    uint64_t mask = 255;
    i64 known = 0;
    Slot *slots = calloc(mask + 1, sizeof(Slot));
    if (!slots)
        return -1;
    for (i64 i = 0; i < n; i++) {
        if (valid && !valid[i]) {
            codes[i] = -1;
            continue;
        }
        FETCH_AHEAD(i);
        const u8 *field = text + starts[i];
        const i64 length = ends[i] - starts[i];
        const uint64_t sum = hash(field, length);
        uint64_t at = sum & mask;
        for (; slots[at].code; at = (at + 1) & mask) {
            const i64 other = firsts[slots[at].code - 1];
            if (slots[at].hash == sum && ends[other] - starts[other] == length &&
                !memcmp(text + starts[other], field, (size_t)length))
                break;
        }
        if (!slots[at].code) {
            firsts[known] = i;
            slots[at] = (Slot){sum, ++known};
            codes[i] = (int32_t)(known - 1);
            if ((uint64_t)known * 2 > mask && !grow(&slots, &mask)) {
                known = -1;
                break;
            }
        } else
            codes[i] = (int32_t)(slots[at].code - 1);
    }
    free(slots);
    return known;
}
