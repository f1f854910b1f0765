// Pictures, or parts of them, to a network's input in one launch: every pixel to whole levels of RGB, resized, scaled.
// The arithmetic is that of rows.h, to the bit. No headers: NVRTC then needs none on the machine.

#ifdef __CUDACC_RTC__
#define INLINE __device__ __forceinline__
#else
#define INLINE static inline  // tests compile this file as C++, with stand-ins for what the GPU brings along
#endif

typedef unsigned char Byte;
typedef unsigned short Half;  // the bits of a float16

enum { GREY = 1, PACKED = 2, YUV = 3 };

struct Row {                    // one part of a picture; imaging/cuda.py fills it
    unsigned long long planes[3];  // addresses of the samples: Y U V, red green blue, or grey
    double scale_x, scale_y;       // source pixels from one pixel of the result to the next
    int pitches[3];                // bytes from row to row, of each plane
    int steps[3];                  // bytes from sample to sample
    int kind, bytes;               // of a sample: 1 or 2, of which the upper one counts
    int x, y, width, height;       // the part, pixels
    int left, top, inner_width, inner_height;  // what it covers in the input
    int offset, luma, v_to_r, u_to_g, v_to_g, u_to_b;  // colour factors in 1/8192
    int means, padding;            // areas are averaged
};

struct Input {                  // the same for all rows
    long long picture, line;    // numbers of the result from one picture to the next, and from line to line
    int column, channel;        // from pixel to pixel of a line, and from channel to channel
    int width, height, channels, swapped, pad, room;  // room: for a fourth number behind each pixel's three
    float gain[3], bias[3];     // per channel of the output: value = level * gain + bias
};

struct Pixel { int c[3]; };     // red, green, blue; or grey in each
struct Tap { int low, high, weight; };  // two neighbours, and what the second counts, in 1/2048

INLINE int clamped(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

INLINE int sample(const Row& row, int plane, int x, int y) {
    const Byte* at = (const Byte*)row.planes[plane] + (long long)y * row.pitches[plane] + (long long)x * row.steps[plane];
    if (row.bytes == 1) return *at;
    unsigned int v = *(const Half*)at;
    unsigned int level = (v + 127 + ((v >> 8) & 1)) >> 8;  // rounded, halves to even
    return level > 255 ? 255 : (int)level;
}

// Pixel (x, y) of the picture in whole levels.
INLINE Pixel pixel(const Row& row, int x, int y, int grey) {
    int first = sample(row, 0, x, y);
    if (row.kind == GREY) return {{first, first, first}};
    if (row.kind == PACKED) {
        int second = sample(row, 1, x, y), third = sample(row, 2, x, y);
        if (!grey) return {{first, second, third}};
        int level = (first * 9798 + second * 19235 + third * 3735 + 16384) >> 15;
        return {{level, level, level}};
    }
    int level = ((first - row.offset) * 8 * row.luma) >> 16;
    if (grey) {
        level = clamped(level, 0, 255);
        return {{level, level, level}};
    }
    int u = (sample(row, 1, x / 2, y / 2) - 128) * 8, v = (sample(row, 2, x / 2, y / 2) - 128) * 8;
    return {{clamped(level + ((v * row.v_to_r) >> 16), 0, 255),
             clamped(level + ((u * row.u_to_g) >> 16) + ((v * row.v_to_g) >> 16), 0, 255),
             clamped(level + ((u * row.u_to_b) >> 16), 0, 255)}};
}

// Where pixel `index` of the result lies: the first of two pixels, and the second's weight.
INLINE Tap tap(int index, double scale) {
    float at = (float)__dadd_rn(__dmul_rn(index + 0.5, scale), -0.5);
    float low = floorf(at);
    return {(int)low, (int)low + 1, (int)rintf(__fmul_rn(__fadd_rn(at, -low), 2048.0f))};
}

INLINE int sideways(int left, int right, int weight) {  // in 1/128 levels
    int more = right - left;
    return left * 128 + more * (weight / 16) + ((more * (weight % 16)) >> 4);
}

INLINE Pixel bilinear(const Row& row, int ix, int iy, int grey) {
    Tap x = tap(ix, row.scale_x), y = tap(iy, row.scale_y);
    if (x.low < 0 || x.low >= row.width - 1) {
        x.low = x.low < 0 ? 0 : row.width - 1;
        x.high = x.low;
        x.weight = 0;
    }
    int upper = row.y + clamped(y.low, 0, row.height - 1), lower = row.y + clamped(y.high, 0, row.height - 1);
    int left = row.x + x.low, right = row.x + x.high;
    Pixel a = pixel(row, left, upper, grey);
    if (x.weight == 0 && y.weight == 0) return a;
    Pixel b = x.weight ? pixel(row, right, upper, grey) : a;
    Pixel c = y.weight ? pixel(row, left, lower, grey) : a;
    Pixel d = !y.weight ? b : x.weight ? pixel(row, right, lower, grey) : c;
    Pixel out;
    for (int k = 0; k < 3; k++) {
        int above = sideways(a.c[k], b.c[k], x.weight), below = sideways(c.c[k], d.c[k], x.weight);
        out.c[k] = (((above * (2048 - y.weight)) >> 16) + ((below * y.weight) >> 16) + 2) >> 2;
    }
    return out;
}

struct Span { int first, count; float head, body, tail; };  // the samples that one is a mean of: see rows.h

INLINE Span span(int have, int want, int index, double scale, int whole) {
    Span out = {0, 0, 0.0f, 1.0f, 0.0f};
    if (whole) {
        out.count = have / want;
        out.first = index * out.count;
        return out;
    }
    double begin = __dmul_rn(index, scale), end = __dadd_rn(begin, scale);
    double size = fmin(scale, __dadd_rn(have, -begin));
    int last = (int)fmin(floor(end), (double)(have - 1)), first = (int)fmin(ceil(begin), (double)last);
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

INLINE float share(const Span& s, int index) {
    return index == 0 && s.head > 0 ? s.head : index == s.count - 1 && s.tail > 0 ? s.tail : s.body;
}

INLINE Pixel mean(const Row& row, int ix, int iy, int grey) {
    int whole = row.width % row.inner_width == 0 && row.height % row.inner_height == 0;
    Span across = span(row.width, row.inner_width, ix, row.scale_x, whole);
    Span down = span(row.height, row.inner_height, iy, row.scale_y, whole);
    float sums[3] = {0, 0, 0};
    for (int j = 0; j < down.count; j++) {
        float line[3] = {0, 0, 0}, weight = share(down, j);
        for (int i = 0; i < across.count; i++) {
            Pixel p = pixel(row, row.x + across.first + i, row.y + down.first + j, grey);
            float each = share(across, i);
            for (int k = 0; k < 3; k++) line[k] = __fadd_rn(line[k], __fmul_rn((float)p.c[k], each));
        }
        for (int k = 0; k < 3; k++) sums[k] = __fadd_rn(sums[k], __fmul_rn(line[k], weight));
    }
    float scale = whole ? 1.0f / (float)(across.count * down.count) : 1.0f;
    Pixel out;
    for (int k = 0; k < 3; k++) {
        int level = (int)rintf(__fmul_rn(sums[k], scale));
        out.c[k] = level > 255 ? 255 : level;
    }
    return out;
}

INLINE void store(float* out, float value) { *out = value; }
INLINE void store(Byte* out, float value) { *out = (Byte)clamped((int)rintf(value), 0, 255); }
INLINE void store(signed char* out, float value) { *out = (signed char)clamped((int)rintf(value), -128, 127); }
INLINE void store(Half* out, float value) {
#ifdef __CUDACC_RTC__
    Half bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    *out = bits;
#else
    *out = half_bits(value);
#endif
}

template <typename Out>
struct alignas(4 * sizeof(Out)) Four { Out c[4]; };

template <typename Out>
INLINE void to_tensor(const Row* rows, Out* out, const Input& to) {
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= to.width || y >= to.height) return;
    const Row& row = rows[blockIdx.z];
    int ix = x - row.left, iy = y - row.top;
    Pixel found = {{to.pad, to.pad, to.pad}};
    if (ix >= 0 && iy >= 0 && ix < row.inner_width && iy < row.inner_height) {
        int grey = to.channels == 1;
        found = row.means ? mean(row, ix, iy, grey) : bilinear(row, ix, iy, grey);
    }
    Out* at = out + to.picture * blockIdx.z + to.line * y + (long long)to.column * x;
    Four<Out> values;
    for (int k = 0; k < to.channels; k++) {
        int level = found.c[to.swapped ? 2 - k : k];
        store(&values.c[k], __fadd_rn(__fmul_rn((float)level, to.gain[k]), to.bias[k]));
    }
    if (to.room) {
        values.c[3] = 0;
        *(Four<Out>*)at = values;  // written at once
    } else {
        for (int k = 0; k < to.channels; k++) at[(long long)k * to.channel] = values.c[k];
    }
}

#ifdef __CUDACC_RTC__
#define ENTRY(NAME, OUT) \
    extern "C" __global__ void NAME(const Row* rows, OUT* out, Input to) { to_tensor<OUT>(rows, out, to); }
#else
#define ENTRY(NAME, OUT) \
    extern "C" void NAME(const Row* rows, OUT* out, Input to) { to_tensor<OUT>(rows, out, to); }
#endif

ENTRY(to_float32, float)
ENTRY(to_float16, Half)
ENTRY(to_uint8, Byte)
ENTRY(to_int8, signed char)
