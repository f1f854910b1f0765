/* The arithmetic of _kernels.c: rows of a picture, or of a part of it, to rows of a model's input.

For each row of the result the two source rows that it lies between are converted to whole levels of RGB, resized
sideways, kept (the next row may need them again), mixed, and stored as the model wants them. Memory besides the
result: a handful of rows. The loops are plain, so that compilers turn them into vector instructions; `CLONES` has
GCC make one version of `run` for each generation of x86 processors, chosen when the module is loaded.

Colours: libswscale's unscaled yuv420p to rgb24, found by trying all 2^24 colours: each term of
R = cy (Y - o) + vr (V - 128), ... is floor(term) with factors in 1/8192, the sum is saturated, chroma is repeated.
Resizing: OpenCV's INTER_LINEAR for 8 bits, found likewise: weights in 1/2048, sideways sums are cut to 1/128 levels,
each of both rows' shares to 1/4, and their sum is rounded. Means of areas: its INTER_AREA, in float32 and in its order
of additions. */

#ifndef MILLRACE_ROWS_H
#define MILLRACE_ROWS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pixels are packed for little-endian processors; without this part OpenCV does the same"
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

enum { GREY = 1, RGB = 2, YUV = 3 };

typedef struct { /* samples of one kind: size is 1 or 2 bytes, of which the upper one counts */
    const char *data;
    ptrdiff_t row, step;
    int size;
} Plane;

typedef struct {
    int kind, to_grey;
    Plane planes[3];
    int x, y, width, height; /* the part of the picture */
    int16_t offset, luma, v_to_r, u_to_g, v_to_g, u_to_b;
} Source;

typedef struct {
    char *data;
    ptrdiff_t channel, row, step; /* bytes */
    int channels, width, height, size;
    int left, top, inner_width, inner_height;
    int shifts[3];      /* of each channel in a packed pixel */
    const float *line;  /* float32: gain and bias of each channel */
    const char *table;  /* others: 256 values of each channel */
    int pad, plain;     /* plain: uint8 levels as they are */
} Target;

typedef struct { /* the samples that one of the result is a mean of: where they begin, and what each counts */
    int32_t first, count;
    float head, body, tail; /* of the first, those between, the last; 0: as those between */
} Span;

typedef struct { /* all of them rows of the part's width or the result's */
    uint8_t *bytes[3];
    int16_t *few[3], *tints[3];
    uint32_t *pixels, *mixed;
    int16_t *wide[2];
    int row_of[2], tint_row;
    uint32_t *left, *right;
    uint64_t *pairs;
    int32_t *at;                /* of each pixel of the result: the first of the two pixels it lies between */
    int16_t *sixteens, *rest;   /* the second one's weight is 16 * sixteens + rest; each four times */
    int nearest, halved;        /* all these weights are 0; pixels lie at 0, 2, 4, ... */
    int means, whole;           /* areas are averaged; they are of whole pixels */
    Span *spans;
    float *line, *sums;
    int line_row;
} Scratch;

INLINE int16_t high(int16_t a, int16_t b) { return (int16_t)(((int32_t)a * (int32_t)b) >> 16); }
INLINE int16_t saturated(int16_t v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

/* n samples of a row as bytes: where they lie, when they can be read there. 16 bits are rounded, halves to even. */
INLINE const uint8_t *samples(const Plane *plane, ptrdiff_t y, ptrdiff_t x, int n, uint8_t *spare)
{
    const char *from = plane->data + y * plane->row + x * plane->step;
    if (plane->size == 1) {
        if (plane->step == 1)
            return (const uint8_t *)from;
        if (plane->step == 2) {
            for (ptrdiff_t i = 0; i < n; i++)
                spare[i] = (uint8_t)from[2 * i];
        } else {
            for (ptrdiff_t i = 0; i < n; i++)
                spare[i] = (uint8_t)from[i * plane->step];
        }
        return spare;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        uint16_t v;
        memcpy(&v, from + i * plane->step, 2);
        uint32_t level = ((uint32_t)v + 127 + ((v >> 8) & 1)) >> 8;
        spare[i] = (uint8_t)(level > 255 ? 255 : level);
    }
    return spare;
}

/* What the chroma of row y adds to R, G and B of each pixel. */
INLINE void tint(const Source *source, Scratch *s, int y)
{
    int first = source->x / 2, n = (source->x + source->width + 1) / 2 - first;
    const uint8_t *u = samples(&source->planes[1], y / 2, first, n, s->bytes[1]);
    const uint8_t *v = samples(&source->planes[2], y / 2, first, n, s->bytes[2]);
    int16_t *red = s->few[0], *green = s->few[1], *blue = s->few[2];
    int16_t v_to_r = source->v_to_r, u_to_g = source->u_to_g, v_to_g = source->v_to_g, u_to_b = source->u_to_b;
    for (ptrdiff_t i = 0; i < n; i++) {
        int16_t du = (int16_t)((u[i] - 128) * 8), dv = (int16_t)((v[i] - 128) * 8);
        red[i] = high(dv, v_to_r);
        green[i] = (int16_t)(high(du, u_to_g) + high(dv, v_to_g));
        blue[i] = high(du, u_to_b);
    }
    for (int k = 0; k < 3; k++) {
        const int16_t *few = s->few[k];
        int16_t *all = s->tints[k];
        for (ptrdiff_t i = 0; i < n; i++)
            all[2 * i] = all[2 * i + 1] = few[i];
    }
    s->tint_row = y / 2;
}

/* Row y of the part as pixels of R | G << 8 | B << 16, or of one grey level. */
INLINE void convert(const Source *source, Scratch *s, int y)
{
    int n = source->width;
    uint32_t *pixels = s->pixels;
    const uint8_t *first = samples(&source->planes[0], y, source->x, n, s->bytes[0]);
    if (source->kind == GREY) {
        for (ptrdiff_t i = 0; i < n; i++)
            pixels[i] = first[i] * 0x010101u;
    } else if (source->kind == RGB) {
        const uint8_t *second = samples(&source->planes[1], y, source->x, n, s->bytes[1]);
        const uint8_t *third = samples(&source->planes[2], y, source->x, n, s->bytes[2]);
        if (source->to_grey) /* OpenCV's weights, in 1/32768 */
            for (ptrdiff_t i = 0; i < n; i++)
                pixels[i] = (first[i] * 9798u + second[i] * 19235u + third[i] * 3735u + 16384u) >> 15;
        else
            for (ptrdiff_t i = 0; i < n; i++)
                pixels[i] = first[i] | (uint32_t)second[i] << 8 | (uint32_t)third[i] << 16;
    } else if (source->to_grey) {
        int16_t offset = source->offset, luma = source->luma;
        for (ptrdiff_t i = 0; i < n; i++)
            pixels[i] = (uint32_t)saturated(high((int16_t)((first[i] - offset) * 8), luma));
    } else {
        if (s->tint_row != y / 2)
            tint(source, s, y);
        int16_t offset = source->offset, luma = source->luma;
        int odd = source->x & 1;
        const int16_t *red = s->tints[0] + odd, *green = s->tints[1] + odd, *blue = s->tints[2] + odd;
        for (ptrdiff_t i = 0; i < n; i++) {
            int16_t level = high((int16_t)((first[i] - offset) * 8), luma);
            uint32_t r = (uint32_t)saturated((int16_t)(level + red[i]));
            uint32_t g = (uint32_t)saturated((int16_t)(level + green[i]));
            uint32_t b = (uint32_t)saturated((int16_t)(level + blue[i]));
            pixels[i] = r | g << 8 | b << 16;
        }
    }
    pixels[n] = 0; /* beside the last, with weight 0 */
}

/* Row y, resized sideways, in 1/128 levels: four numbers a pixel. Two rows are kept, the lower ones. */
INLINE const int16_t *resized(const Source *source, Scratch *s, int y, int width)
{
    int slot = s->row_of[0] == y ? 0 : s->row_of[1] == y ? 1 : s->row_of[0] < s->row_of[1] ? 0 : 1;
    int16_t *out = s->wide[slot];
    if (s->row_of[slot] == y)
        return out;
    s->row_of[slot] = y;
    convert(source, s, y);
    const uint32_t *pixels = s->pixels;
    const int32_t *at = s->at;
    if (s->halved) {
        for (ptrdiff_t i = 0; i < width; i++) {
            s->left[i] = pixels[2 * i];
            s->right[i] = pixels[2 * i + 1];
        }
    } else {
        for (ptrdiff_t i = 0; i < width; i++)
            memcpy(&s->pairs[i], pixels + at[i], 8);
        for (ptrdiff_t i = 0; i < width; i++) {
            s->left[i] = (uint32_t)s->pairs[i];
            s->right[i] = (uint32_t)(s->pairs[i] >> 32);
        }
    }
    const uint8_t *left = (const uint8_t *)s->left, *right = (const uint8_t *)s->right;
    const int16_t *sixteens = s->sixteens, *rest = s->rest;
    for (ptrdiff_t i = 0; i < 4 * width; i++) { /* (left * (2048 - weight) + right * weight) / 16, all in 16 bits */
        int16_t more = (int16_t)(right[i] - left[i]);
        out[i] = (int16_t)(left[i] * 128 + more * sixteens[i] + ((int16_t)(more * rest[i]) >> 4));
    }
    return out;
}

/* OpenCV's place of each pixel of the result in the source: the first of two pixels, and the second's weight. */
static void axis(int have, int want, ptrdiff_t index, int32_t *at, int16_t *weight)
{
    double scale = 1.0 / ((double)want / have);
    float f = (float)(((double)index + 0.5) * scale - 0.5);
    float low = floorf(f);
    *at = (int32_t)low;
    *weight = (int16_t)lrintf((f - low) * 2048.0f);
}

INLINE void mix(const Source *source, Scratch *s, int row, int width, int height)
{
    int32_t at;
    int16_t b;
    axis(source->height, height, row, &at, &b);
    int16_t a = (int16_t)(2048 - b);
    int last = source->height - 1;
    int y0 = at < 0 ? 0 : at > last ? last : at, y1 = at + 1 > last ? last : at + 1;
    uint8_t *mixed = (uint8_t *)s->mixed;
    if (b == 0 && s->nearest) {
        convert(source, s, source->y + y0);
        const uint32_t *pixels = s->pixels;
        for (ptrdiff_t i = 0; i < width; i++)
            s->mixed[i] = pixels[s->at[i]];
    } else {
        const int16_t *upper = resized(source, s, source->y + y0, width);
        const int16_t *lower = b == 0 ? upper : resized(source, s, source->y + y1, width);
        for (ptrdiff_t i = 0; i < 4 * width; i++)
            mixed[i] = (uint8_t)((int16_t)(high(upper[i], a) + high(lower[i], b) + 2) >> 2);
    }
}

/* The pixels under one of the result, as OpenCV splits them: shares below 1/1000 are dropped. */
static Span span(int have, int want, ptrdiff_t index, int whole)
{
    Span out = {0, 0, 0.0f, 1.0f, 0.0f};
    if (whole) {
        out.count = have / want;
        out.first = (int32_t)index * out.count;
        return out;
    }
    double scale = 1.0 / ((double)want / have), begin = (double)index * scale, end = begin + scale;
    double size = fmin(scale, have - begin);
    int last = (int)fmin(floor(end), have - 1), first = (int)fmin(ceil(begin), last);
    out.first = first;
    out.count = last - first;
    out.body = (float)(1.0 / size);
    if (first - begin > 1e-3) {
        out.first--;
        out.count++;
        out.head = (float)((first - begin) / size);
    }
    if (end - last > 1e-3) {
        out.count++;
        out.tail = (float)(fmin(fmin(end - last, 1.0), size) / size);
    }
    return out;
}

INLINE float share(const Span *span, int index)
{
    return index == 0 && span->head > 0 ? span->head
           : index == span->count - 1 && span->tail > 0 ? span->tail
           : span->body;
}

/* Row y of the part, averaged sideways: four numbers a pixel. The last one is kept: two of the result may share it. */
INLINE const float *shrunk(const Source *source, Scratch *s, int y, int width)
{
    if (s->line_row == y)
        return s->line;
    s->line_row = y;
    convert(source, s, y);
    for (ptrdiff_t i = 0; i < width; i++) {
        const Span *span = &s->spans[i];
        const uint8_t *pixels = (const uint8_t *)(s->pixels + span->first);
        float sums[4] = {0, 0, 0, 0};
        for (int k = 0; k < span->count; k++) {
            float weight = share(span, k);
            for (int c = 0; c < 4; c++)
                sums[c] += (float)pixels[4 * k + c] * weight;
        }
        memcpy(s->line + 4 * i, sums, sizeof(sums));
    }
    return s->line;
}

/* A row of the result as means of the areas under its pixels. */
INLINE void average(const Source *source, Scratch *s, int row, int width, int height)
{
    Span rows = span(source->height, height, row, s->whole);
    uint8_t *mixed = (uint8_t *)s->mixed;
    float *sums = s->sums;
    for (ptrdiff_t i = 0; i < 4 * width; i++)
        sums[i] = 0.0f;
    for (int k = 0; k < rows.count; k++) {
        const float *line = shrunk(source, s, source->y + rows.first + k, width);
        float weight = share(&rows, k);
        for (ptrdiff_t i = 0; i < 4 * width; i++)
            sums[i] += line[i] * weight;
    }
    float scale = s->whole ? 1.0f / (float)(rows.count * s->spans[0].count) : 1.0f;
    for (ptrdiff_t i = 0; i < 4 * width; i++) {
        float level = (sums[i] * scale + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to whole, halves to even */
        mixed[i] = (uint8_t)(int32_t)(level > 255.0f ? 255.0f : level);
    }
}

/* One row of a channel of the result. */
INLINE void store(const Target *t, int channel, int y, const uint32_t *pixels)
{
    char *to = t->data + channel * t->channel + y * t->row + t->left * t->step;
    ptrdiff_t step = t->step;
    int shift = t->shifts[channel], n = t->inner_width;
    if (t->size == 4) {
        float gain = t->line[2 * channel], bias = t->line[2 * channel + 1];
        if (step == 4) {
            for (ptrdiff_t i = 0; i < n; i++) {
                float value = (float)(int32_t)(pixels[i] >> shift & 255) * gain + bias;
                memcpy(to + 4 * i, &value, 4);
            }
        } else {
            for (ptrdiff_t i = 0; i < n; i++) {
                float value = (float)(int32_t)(pixels[i] >> shift & 255) * gain + bias;
                memcpy(to + i * step, &value, 4);
            }
        }
    } else if (t->size == 2) {
        const char *table = t->table + 512 * (ptrdiff_t)channel;
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(to + i * step, table + 2 * (pixels[i] >> shift & 255), 2);
    } else if (t->plain && step == 1) {
        for (ptrdiff_t i = 0; i < n; i++)
            to[i] = (char)(uint8_t)(pixels[i] >> shift);
    } else {
        const char *table = t->table + 256 * (ptrdiff_t)channel;
        for (ptrdiff_t i = 0; i < n; i++)
            to[i * step] = table[pixels[i] >> shift & 255];
    }
}

/* The border's value for `n` pixels of a row. */
INLINE void pad(const Target *t, int channel, int y, int x, int n)
{
    char *to = t->data + channel * t->channel + y * t->row + x * t->step;
    ptrdiff_t step = t->step;
    if (t->size == 4) {
        float value = (float)t->pad * t->line[2 * channel] + t->line[2 * channel + 1];
        if (step == 4)
            for (ptrdiff_t i = 0; i < n; i++)
                memcpy(to + 4 * i, &value, 4);
        else
            for (ptrdiff_t i = 0; i < n; i++)
                memcpy(to + i * step, &value, 4);
    } else if (t->size == 2) {
        const char *value = t->table + 2 * (256 * (ptrdiff_t)channel + t->pad);
        for (ptrdiff_t i = 0; i < n; i++)
            memcpy(to + i * step, value, 2);
    } else {
        char value = t->table[256 * (ptrdiff_t)channel + t->pad];
        if (step == 1)
            memset(to, value, (size_t)n);
        else
            for (ptrdiff_t i = 0; i < n; i++)
                to[i * step] = value;
    }
}

CLONES static void run(const Source *source, const Target *t, Scratch *s)
{
    int right = t->left + t->inner_width, bottom = t->top + t->inner_height;
    for (int y = 0; y < t->height; y++) {
        int inside = y >= t->top && y < bottom;
        if (inside && s->means)
            average(source, s, y - t->top, t->inner_width, t->inner_height);
        else if (inside)
            mix(source, s, y - t->top, t->inner_width, t->inner_height);
        for (int c = 0; c < t->channels; c++) {
            if (inside) {
                pad(t, c, y, 0, t->left);
                store(t, c, y, s->mixed);
                pad(t, c, y, right, t->width - right);
            } else {
                pad(t, c, y, 0, t->width);
            }
        }
    }
}

#endif
