// The usual pictures (YUV, colours, bilinear) to a network's input: the numbers of kernels.cu, which comes before this
// file, to the bit, for a fraction of its instructions. imaging/cuda.py says which rows may come here.
//
// A thread makes a strip: two neighbouring columns, LINES lines. Where columns and lines lie in the source is worked
// out once for a block; a line of the source that the next line of the result needs again is kept. Whole numbers below
// 2^24 are exact in float32, and fma rounds once: floor(a * b + c) is one instruction that rounds down, where numbers
// lie 1 apart (from 2^23 on) or 4 (from 2^25 on).

enum { ACROSS = 64, DOWN = 32, LINES = 8 };  // of a block: columns, lines; lines of a strip
enum { NV12 = 1, I420, P010, HALVED };       // Row::path; HALVED is added where two source columns become one

struct Column { int low, weights; };  // the first of two source columns, and what both count: two times 16 bits
struct Line { int upper, lower; float above, below; };  // two source lines, and what they count, in 1/65536

#ifdef __CUDACC_RTC__  // tests bring stand-ins for all that stands here
#define KERNEL extern "C" __global__
#define MEMBER INLINE
#define SHARED __shared__
#define TOGETHER __syncthreads()
template <typename T>
INLINE T fetched(const T* at) { return __ldg(at); }
// c and the sum of two numbers of 16 bits, each times a byte of `bytes`: the lower two, or the upper two.
INLINE int dot_low(int numbers, unsigned int bytes, int c) {
    int sum;
    asm("dp2a.lo.s32.u32 %0, %1, %2, %3;" : "=r"(sum) : "r"(numbers), "r"(bytes), "r"(c));
    return sum;
}
INLINE int dot_high(int numbers, unsigned int bytes, int c) {
    int sum;
    asm("dp2a.hi.s32.u32 %0, %1, %2, %3;" : "=r"(sum) : "r"(numbers), "r"(bytes), "r"(c));
    return sum;
}
INLINE unsigned int saturated(int low, int high) {  // two bytes
    unsigned int both;
#if __CUDA_ARCH__ >= 720
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, 0;" : "=r"(both) : "r"(high), "r"(low));
#else
    both = clamped(low, 0, 255) | clamped(high, 0, 255) << 8;
#endif
    return both;
}
INLINE void store(Half* out, float first, float second) {
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(*(unsigned int*)out) : "f"(second), "f"(first));
#else
    store(out, first);
    store(out + 1, second);
#endif
}
INLINE void store(float* out, float first, float second) {
    out[0] = first;
    out[1] = second;
}
INLINE const Byte* along(const Byte* at, int lines, int pitch) {
    const Byte* there;
    asm("mad.wide.s32 %0, %1, %2, %3;" : "=l"(there) : "r"(lines), "r"(pitch), "l"(at));
    return there;
}
#endif

struct alignas(16) Colours {  // factors of 16 bits, and what makes grey (and black) nothing
    int luma, black, tint[4], grey[4];
};

// For the first channel of the result, two for the second, and the third; U is a byte, V the next.
INLINE Colours colours(const Row& row, int swapped) {
    int red = row.v_to_r * 65536, blue = row.u_to_b & 0xFFFF;
    return {row.luma & 0xFFFF, -row.offset * row.luma,
            {swapped ? blue : red, row.u_to_g & 0xFFFF, row.v_to_g * 65536, swapped ? red : blue},
            {-128 * (swapped ? row.u_to_b : row.v_to_r), -128 * row.u_to_g, -128 * row.v_to_g,
             -128 * (swapped ? row.v_to_r : row.u_to_b)}};
}

struct Planes { const Byte *luma, *chroma, *other; int luma_pitch, chroma_pitch; };  // or one line of each

INLINE Planes line_of(const Planes& planes, int y) {
    return {along(planes.luma, y, planes.luma_pitch), along(planes.chroma, y >> 1, planes.chroma_pitch),
            along(planes.other, y >> 1, planes.chroma_pitch), 0, 0};
}

// The samples of a source line under a strip's two columns.
struct Samples { unsigned int luma[2][2], chroma[2][2]; };  // of each column, left and right; a byte U, then V
struct Words { unsigned int luma, chroma; };                // halved: bytes of four pixels; U V U V of two and two

INLINE unsigned int rounded(unsigned int v) {  // 16 bits to 8, halves to even
    unsigned int level = (v + 127 + ((v >> 8) & 1)) >> 8;
    return level > 255 ? 255 : level;
}

INLINE unsigned int rounded_two(unsigned int both) { return rounded(both & 0xFFFF) | rounded(both >> 16) << 8; }

INLINE unsigned int rounded_four(const Byte* at) {
    unsigned long long four = fetched((const unsigned long long*)at);
    return rounded_two((unsigned int)four) | rounded_two((unsigned int)(four >> 32)) << 16;
}

template <int FORMAT>
INLINE unsigned int chroma(const Planes& line, unsigned int at) {
    if (FORMAT == NV12) return fetched((const Half*)(line.chroma + at));
    if (FORMAT == P010) return rounded_two(fetched((const unsigned int*)(line.chroma + at)));
    return fetched(line.chroma + at) | fetched(line.other + at) << 8;
}

template <int FORMAT>
INLINE void fetch(Samples& out, const Planes& line, const unsigned int (&at)[2][3]) {
    for (int k = 0; k < 2; k++) {
        const Byte* luma = line.luma + at[k][0];
        for (int side = 0; side < 2; side++) {
            out.luma[k][side] = FORMAT == P010 ? rounded(fetched((const Half*)luma + side)) : fetched(luma + side);
            out.chroma[k][side] = chroma<FORMAT>(line, at[k][1 + side]);
        }
    }
}

template <int FORMAT>
INLINE void fetch(Words& out, const Planes& line, const unsigned int (&at)[2][3]) {
    const Byte *luma = line.luma + at[0][0], *both = line.chroma + at[0][1];
    if (FORMAT == P010) {
        out.luma = rounded_four(luma);
        out.chroma = rounded_four(both);
    } else {
        out.luma = fetched((const unsigned int*)luma);
        if (FORMAT == NV12) out.chroma = fetched((const unsigned int*)both);
        else out.chroma = chroma<I420>(line, at[0][1]) | chroma<I420>(line, at[1][1]) << 16;
    }
}

// What luma gives each channel, and the n-th factor of the tints, in 1/8192.
INLINE int level(const Samples& of, const Colours& by, int k, int side) {
    return (int)of.luma[k][side] * by.luma + by.black;
}

INLINE int tint(const Samples& of, const Colours& by, int n, int k, int side) {
    return dot_low(by.tint[n], of.chroma[k][side], by.grey[n]);
}

INLINE int level(const Words& of, const Colours& by, int k, int side) {
    int factor = side ? by.luma << 16 : by.luma;
    return k ? dot_high(factor, of.luma, by.black) : dot_low(factor, of.luma, by.black);
}

INLINE int tint(const Words& of, const Colours& by, int n, int k, int) {  // the same for both sides
    return k ? dot_high(by.tint[n], of.chroma, by.grey[n]) : dot_low(by.tint[n], of.chroma, by.grey[n]);
}

struct Levels { float c[2][3]; };  // of each column and channel

const int FLOAT = 0x4B000000;  // the bits of 2^23: a whole number that is added to them is one of 2^23 + ...

// Between left and right, as 2^23 + level in 1/128.
INLINE float between(const Samples&, unsigned int both, int weights) {
    return __fmaf_rd(__int_as_float(dot_low(weights, both, FLOAT)), 1.0f / 16, 8388608.0f - 524288.0f);  // - 2^23 / 16
}

INLINE float between(const Words&, unsigned int both, int) {
    return __int_as_float(dot_low(64 | 64 << 16, both, FLOAT));
}

// The same for each column and channel.
template <typename Found>
INLINE Levels sideways(const Found& samples, const Colours& by, const int (&weights)[2]) {
    Levels out;
    for (int k = 0; k < 2; k++) {
        int levels[2][3];
        for (int side = 0; side < 2; side++) {
            int luma = level(samples, by, k, side) >> 13;
            levels[side][0] = luma + (tint(samples, by, 0, k, side) >> 13);
            levels[side][1] = luma + (tint(samples, by, 1, k, side) >> 13) + (tint(samples, by, 2, k, side) >> 13);
            levels[side][2] = luma + (tint(samples, by, 3, k, side) >> 13);
        }
        for (int c = 0; c < 3; c++) {
            out.c[k][c] = between(samples, saturated(levels[0][c], levels[1][c]), weights[k]);
        }
    }
    return out;
}

// Between the two: 2^25 + 4 * level. See `bilinear` of kernels.cu: each product is cut to a whole number, and of
// their sum + 2 the lowest two bits.
INLINE float mixed(float above, float below, const Line& line) {
    const float middle = 12582912.0f, excess = 262144.0f;  // 1.5 * 2^23; 2^23 times both weights
    float sum = __fmaf_rd(below, line.below, __fmaf_rd(above, line.above, middle + 2 - excess));
    return __fadd_rd(sum, 33554432.0f - middle);
}

template <typename Out, int N>
struct alignas(N * sizeof(Out) < 16 ? N * sizeof(Out) : 16) Together { Out c[N]; };

template <typename Out>
INLINE void put(Out* at, const Input& to, const Levels& value) {
    if (to.room) {
        Together<Out, 8> values;
        for (int k = 0; k < 2; k++) {
            store(&values.c[4 * k], value.c[k][0], value.c[k][1]);
            store(&values.c[4 * k + 2], value.c[k][2], 0.0f);
        }
        *(Together<Out, 8>*)at = values;
    } else {
        for (int c = 0; c < 3; c++) {
            Together<Out, 2> values;
            store(values.c, value.c[0][c], value.c[1][c]);
            *(Together<Out, 2>*)(at + (long long)c * to.channel) = values;
        }
    }
}

// The two source lines that a line of the result lies between, sideways resized. They are kept for the next one.
template <int PATH>
struct Around {
    Levels above = {}, below = {};
    int upper = -1, lower = -1;  // their numbers

    MEMBER void move(const Line& line, const Planes& planes, const unsigned int (&at)[2][3], const Colours& by,
                     const int (&weights)[2]) {
        if (PATH > HALVED) {  // as a rule two others each time: both are asked for before the first one is there
            Words samples, others;
            fetch<PATH - HALVED>(samples, line_of(planes, line.upper), at);
            fetch<PATH - HALVED>(others, line_of(planes, line.lower), at);
            above = sideways(samples, by, weights);
            below = sideways(others, by, weights);
            return;
        }
        Samples samples;
        if (line.upper == lower) {
            above = below;
            upper = lower;
        }
        bool new_upper = line.upper != upper, new_lower = line.below > 0 && line.lower != lower;
        if (new_upper) {
            fetch<PATH>(samples, line_of(planes, line.upper), at);
            above = sideways(samples, by, weights);
        }
        if (new_lower) {
            fetch<PATH>(samples, line_of(planes, line.lower), at);
            below = sideways(samples, by, weights);
        }
        upper = line.upper;
        lower = new_lower ? line.lower : lower;
    }
};

// The strip whose upper left is (x, y) of the result, which goes to `at`.
template <int PATH, typename Out>
INLINE void strip(const Row& row, const Input& to, const Colours& by, const Column* columns, const Line* lines, int x,
                  int y, Out* at) {
    unsigned int from[2][3];  // of each column, in the picture's first line: luma; chroma left, and right
    int weights[2];
    bool outside[2];
    for (int k = 0; k < 2; k++) {
        int low = row.x + columns[k].low;
        weights[k] = columns[k].weights;
        outside[k] = (unsigned int)(x + k - row.left) >= (unsigned int)row.inner_width;
        from[k][0] = low * row.steps[0];
        from[k][1] = (low >> 1) * row.steps[1];
        from[k][2] = ((low + 1) >> 1) * row.steps[1];
    }
    const Planes planes = {(const Byte*)row.planes[0], (const Byte*)row.planes[1], (const Byte*)row.planes[2],
                           row.pitches[0], row.pitches[1]};
    const bool nothing = outside[0] && outside[1];
    const int top = row.top, height = row.inner_height;  // copies: `at` might be theirs, for all that is known
    float gain[3], zero[3];
    Levels border;
    for (int c = 0; c < 3; c++) {
        gain[c] = to.gain[c] * 0.25f;
        zero[c] = to.gain[c] * -8388608.0f;  // of level 0, which is 2^25
        border.c[0][c] = border.c[1][c] = __fadd_rn(__fmul_rn((float)to.pad, to.gain[c]), to.bias[c]);
    }
    Around<PATH> around;
    for (int n = 0; n < LINES && y + n < to.height; n++, at += to.line) {
        if (nothing || (unsigned int)(y + n - top) >= (unsigned int)height) {
            put(at, to, border);
            continue;
        }
        const Line line = lines[n];
        around.move(line, planes, from, by, weights);
        Levels found;
        for (int k = 0; k < 2; k++) {
            for (int c = 0; c < 3; c++) {
                float level = mixed(around.above.c[k][c], around.below.c[k][c], line);
                found.c[k][c] = __fadd_rn(__fmaf_rn(level, gain[c], zero[c]), to.bias[c]);
                if (PATH < HALVED && outside[k]) found.c[k][c] = border.c[k][c];
            }
        }
        put(at, to, found);
    }
}

INLINE Column column(const Row& row, int index) {
    Tap found = tap(index, row.scale_x);
    int last = row.width - 2;  // at the edges one pixel counts alone; the other one is there
    int low = clamped(found.low, 0, last), weight = found.low < 0 ? 0 : found.low > last ? 2048 : found.weight;
    return {low, (2048 - weight) | weight << 16};
}

INLINE Line line(const Row& row, int index) {
    Tap found = tap(index, row.scale_y);
    int upper = row.y + clamped(found.low, 0, row.height - 1), lower = row.y + clamped(found.high, 0, row.height - 1);
    return {upper, lower, (2048 - found.weight) / 65536.0f, found.weight / 65536.0f};
}

template <int PATH, typename Out>
INLINE void to_strips(const Row* rows, Out* out, const Input& to) {
    SHARED Column columns[ACROSS];
    SHARED Line lines[DOWN];
    SHARED Colours by;
    const Row& row = rows[blockIdx.z];
    int left = blockIdx.x * ACROSS, top = blockIdx.y * DOWN, n = threadIdx.y * (ACROSS / 2) + threadIdx.x;
    if (n < ACROSS) columns[n] = column(row, left + n - row.left);
    else if (n < ACROSS + DOWN) lines[n - ACROSS] = line(row, top + n - ACROSS - row.top);
    else if (n == ACROSS + DOWN) by = colours(row, to.swapped);
    TOGETHER;
    int x = 2 * threadIdx.x, y = threadIdx.y * LINES;
    const Column* across = columns + x;
    const Line* down = lines + y;
    x += left;
    y += top;
    if (x >= to.width) return;
    Out* at = out + to.picture * blockIdx.z + to.line * y + (long long)to.column * x;
    strip<PATH>(row, to, by, across, down, x, y, at);
}

#define STRIPS(NAME, PATH, OUT) \
    KERNEL void NAME(const Row* rows, OUT* out, Input to) { to_strips<(PATH)>(rows, out, to); }
#define BOTH(NAME, PATH) STRIPS(NAME##_to_float32, PATH, float) STRIPS(NAME##_to_float16, PATH, Half)
BOTH(nv12, NV12) BOTH(i420, I420) BOTH(p010, P010)
BOTH(nv12_halved, HALVED + NV12) BOTH(i420_halved, HALVED + I420) BOTH(p010_halved, HALVED + P010)
