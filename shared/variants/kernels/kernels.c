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
    i64 start, length; /* of the spelling, in the text */
    i64 code;          /* 1-based; 0 is an empty slot */
} Slot;

/* Spellings and their codes. `mask` is the number of slots, a power of two, less one. */
typedef struct {
    Slot *slots;
    uint64_t mask;
    i64 known;
} Spellings;

static int begin(Spellings *all)
{
    *all = (Spellings){calloc(256, sizeof(Slot)), 255, 0};
    return all->slots != NULL;
}

/* Doubles the table. Returns 0 without memory. */
static int grow(Spellings *all)
{
    const uint64_t wide = all->mask * 2 + 1;
    Slot *fresh = calloc(wide + 1, sizeof(Slot));
    if (!fresh)
        return 0;
    for (uint64_t i = 0; i <= all->mask; i++)
        if (all->slots[i].code) {
            uint64_t at = all->slots[i].hash & wide;
            while (fresh[at].code)
                at = (at + 1) & wide;
            fresh[at] = all->slots[i];
        }
    free(all->slots);
    all->slots = fresh;
    all->mask = wide;
    return 1;
}

/* The spelling's code, from 0 in order of appearance; -1 without memory. */
static inline i64 code_of(Spellings *all, const u8 *text, i64 start, i64 length)
{
    const uint64_t sum = hash(text + start, length);
    uint64_t at = sum & all->mask;
    for (; all->slots[at].code; at = (at + 1) & all->mask) {
        const Slot *slot = all->slots + at;
        if (slot->hash == sum && slot->length == length && !memcmp(text + slot->start, text + start, (size_t)length))
            return slot->code - 1;
    }
    all->slots[at] = (Slot){sum, start, length, ++all->known};
    if ((uint64_t)all->known * 2 > all->mask && !grow(all))
        return -1;
    return all->known - 1;
}

i64 kernels_encode(const u8 *text, const i64 *starts, const i64 *ends, const u8 *valid, i64 n, int32_t *codes,
                   i64 *firsts)
{
    Spellings all;
    if (!begin(&all))
        return -1;
    for (i64 i = 0; i < n; i++) {
        if (valid && !valid[i]) {
            codes[i] = -1;
            continue;
        }
        FETCH_AHEAD(i);
        const i64 before = all.known, code = code_of(&all, text, starts[i], ends[i] - starts[i]);
        if (code < 0) {
            all.known = -1;
            break;
        }
        if (all.known > before)
            firsts[code] = i;
        codes[i] = (int32_t)code;
    }
    free(all.slots);
    return all.known;
}

typedef struct {
    int32_t code, start, equal, end; /* `equal` is `end` where there is none */
    i64 owner;
} Part;

/* The parts of all fields, in order, into `parts`; the keys' spellings into `all`. Returns their number, -1
   without memory. */
static i64 cut_parts(const u8 *text, const int32_t *semicolons, i64 n_semicolons, const int32_t *equals, i64 n_equals,
                     const i64 *starts, const i64 *ends, i64 n, Part *parts, Spellings *all)
{
    i64 at = 0, sign = 0, n_parts = 0;
    for (i64 i = 0; i < n; i++) {
        i64 start = starts[i], end;
        while (at < n_semicolons && semicolons[at] < start)
            at++;
        do {
            end = at < n_semicolons && semicolons[at] < ends[i] ? semicolons[at++] : ends[i];
            while (sign < n_equals && equals[sign] < start)
                sign++;
            const i64 equal = sign < n_equals && equals[sign] < end ? equals[sign] : end;
            const i64 code = code_of(all, text, start, equal - start);
            if (code < 0)
                return -1;
            parts[n_parts++] = (Part){(int32_t)code, (int32_t)start, (int32_t)equal, (int32_t)end, i};
            start = end + 1;
        } while (end < ends[i]);
    }
    return n_parts;
}

i64 kernels_keyed(const u8 *text, const int32_t *semicolons, i64 n_semicolons, const int32_t *equals, i64 n_equals,
                  const i64 *starts, const i64 *ends, i64 n, i64 room, i64 *owners, i64 *value_starts,
                  i64 *value_ends, u8 *valued, i64 *bounds, i64 *key_starts, i64 *key_ends)
{
    Spellings all = {NULL, 0, 0};
    Part *parts = malloc((size_t)(room + 1) * sizeof(Part));
    const i64 n_parts = !parts || !begin(&all) ? -1 : cut_parts(text, semicolons, n_semicolons, equals, n_equals,
                                                                 starts, ends, n, parts, &all);
    if (n_parts < 0) {
        free(all.slots);
        free(parts);
        return -1;
    }
    memset(bounds, 0, (size_t)(all.known + 1) * sizeof(i64));
    for (i64 i = 0; i < n_parts; i++)
        bounds[parts[i].code + 1]++;
    for (i64 code = 0; code < all.known; code++)
        bounds[code + 1] += bounds[code];
    for (i64 i = 0; i < n_parts; i++) {
        const Part *part = parts + i;
        const i64 to = bounds[part->code]++;
        owners[to] = part->owner;
        valued[to] = part->equal < part->end;
        value_starts[to] = part->equal + valued[to];
        value_ends[to] = part->end;
    }
    /* Each bound has moved on to the next. */
    memmove(bounds + 1, bounds, (size_t)all.known * sizeof(i64));
    bounds[0] = 0;
    for (uint64_t i = 0; i <= all.mask; i++)
        if (all.slots[i].code) {
            const Slot *slot = all.slots + i;
            key_starts[slot->code - 1] = slot->start;
            key_ends[slot->code - 1] = slot->start + slot->length;
        }
    free(all.slots);
    free(parts);
    return all.known;
}
