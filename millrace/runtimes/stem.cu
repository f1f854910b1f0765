// The first layers of networks of ResNet's kind in one kernel: relu(convolution + bias), 7x7 at step 2 with a border of
// 3, of pictures with 4 channels in half precision, then the maxima of 3x3 at step 2 with a border of 1. Between the two
// nothing goes through memory: the convolution's result is eight times what goes in and sixteen times what comes out.
//
// A block makes a strip of 15 columns of the result, for 64 channels, from the top down. In each step its eight warps
// make one line of the convolution each, 32 columns, as a product of matrices (mma.sync): the 7 x 8 x 4 numbers of a
// line's windows are 64 bytes each of the lines below, 16 bytes further from window to window, so they are read where
// they lie. (8: a tap before the seven, of weight 0, which makes all addresses even.) Then the maxima are taken: each
// needs the last line of the step before. Beyond the convolution's borders stands 0, which no result of a ReLU is below.

typedef unsigned int Word;
typedef unsigned short Half;
typedef unsigned char Byte;
struct alignas(16) Piece { Word words[4]; };  // 8 halves

enum {
    WARPS = 8, THREADS = 32 * WARPS,
    ACROSS = 32, INNER = 15,     // columns of the convolution, and of the result, that a block makes
    LINES = 2 * WARPS + 5,       // of the picture, for a step
    LINE = (2 * ACROSS + 6) * 8, // bytes of one
    PATCH = LINES * LINE,
    DEPTH = 7 * 8 * 4,           // numbers of a window
    WEIGHTS = 2 * DEPTH + 16,    // bytes for a channel; 16 more, so that eight channels lie in different banks
    PIXEL = 2 * 64 + 16,         // bytes of a result of the convolution; as well
    ROW = ACROSS * PIXEL,
    AT_PATCHES = 0, AT_WEIGHTS = 2 * PATCH, AT_ROWS = AT_WEIGHTS + 64 * WEIGHTS, AT_BIAS = AT_ROWS + (WARPS + 1) * ROW,
    SHARED = AT_BIAS + 64 * 4
};

struct Stem {
    int height, width;              // of the pictures
    int middle_rows, middle_columns;  // of the convolution's result
    int rows, columns, channels;    // of what comes out
    int steps;                      // of a block: 4 rows each
};

#ifdef __CUDACC_RTC__
extern __shared__ Piece memory[];
static __device__ __forceinline__ Byte* shared() { return (Byte*)memory; }
static __device__ __forceinline__ Word address(const void* at) {
    Word out;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(out) : "l"(at));
    return out;
}
static __device__ __forceinline__ void fetch(Byte* to, const void* from, bool there) {  // 16 bytes; zeros where nothing is
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
}
static __device__ __forceinline__ void fetched() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LATER> static __device__ __forceinline__ void await() {  // all but the last LATER groups
    asm volatile("cp.async.wait_group %0;" ::"n"(LATER) : "memory");
}
static __device__ __forceinline__ void matrices(Word* out, const Byte* at) {  // four of 8x8
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address(at)) : "memory");
}
static __device__ __forceinline__ void multiply(float* sum, const Word* a, const Word* b) {  // 16x16 by 16x8
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
static __device__ __forceinline__ Word rectified(float low, float high) {  // two halves
    Word out;
    asm("max.NaN.f32 %0, %0, 0f00000000;" : "+f"(low));
    asm("max.NaN.f32 %0, %0, 0f00000000;" : "+f"(high));
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
}
static __device__ __forceinline__ float of_half(Half bits) {
    float out;
    asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(bits));
    return out;
}
static __device__ __forceinline__ Word most(Word a, Word b) {
    Word out;
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
    return out;
}
#endif

static __device__ __forceinline__ void fetch_patch(Byte* to, const Half* picture, const Stem& stem, int top, int left) {
    for (int at = threadIdx.x; at < LINES * (LINE / 16); at += THREADS) {
        int y = at / (LINE / 16), x = at % (LINE / 16);
        int line = top + y, column = left + 2 * x;
        bool there = line >= 0 && line < stem.height && column >= 0 && column < stem.width;
        fetch(to + y * LINE + x * 16, picture + (there ? ((long long)line * stem.width + column) * 4 : 0), there);
    }
}

// One line of the convolution: 32 columns, 64 channels, from line `row` of a step's patch into `to`.
static __device__ __forceinline__ void convolve(const Byte* patch, Byte* to, int row, int first, const Stem& stem) {
    int lane = threadIdx.x % 32;
    float sums[2][8][4];
    for (int t = 0; t < 2; t++)
        for (int n = 0; n < 8; n++)
            for (int k = 0; k < 4; k++) sums[t][n][k] = 0;
    const Byte* window = patch + 2 * row * LINE + (lane % 16 + lane / 16) * 16;
    const Byte* weights = shared() + AT_WEIGHTS + (lane % 8 + lane / 16 * 8) * WEIGHTS + lane / 8 % 2 * 16;
#pragma unroll
    for (int step = 0; step < DEPTH / 16; step++) {
        Word a[2][4], b[4];
        const Byte* from = window + step / 2 * LINE + step % 2 * 32;
        matrices(a[0], from);
        matrices(a[1], from + 16 * 16);
#pragma unroll
        for (int n = 0; n < 4; n++) {
            matrices(b, weights + n * 16 * WEIGHTS + step * 32);
            multiply(sums[0][2 * n], a[0], b);
            multiply(sums[0][2 * n + 1], a[0], b + 2);
            multiply(sums[1][2 * n], a[1], b);
            multiply(sums[1][2 * n + 1], a[1], b + 2);
        }
    }
    const float* bias = (const float*)(shared() + AT_BIAS);
#pragma unroll
    for (int n = 0; n < 8; n++) {
        int channel = 8 * n + lane % 4 * 2;
        float one = bias[channel], other = bias[channel + 1];
#pragma unroll
        for (int part = 0; part < 4; part++) {
            int column = lane / 4 + 8 * part;
            bool there = first + column >= 0 && first + column < stem.middle_columns;
            const float* sum = sums[part / 2][n] + part % 2 * 2;
            *(Word*)(to + column * PIXEL + channel * 2) = there ? rectified(sum[0] + one, sum[1] + other) : 0;
        }
    }
}

static __device__ __forceinline__ Byte* row_of(int middle) {  // where a line of the convolution lies: the last nine are kept
    return shared() + AT_ROWS + (middle + WARPS + 1) % (WARPS + 1) * ROW;
}

static __device__ __forceinline__ void take_maxima(Half* out, const Stem& stem, int top, int left) {
    for (int at = threadIdx.x; at < WARPS / 2 * INNER * 8; at += THREADS) {
        int piece = at % 8, x = at / 8 % INNER, y = at / 8 / INNER;
        if (top + y >= stem.rows || left + x >= stem.columns) continue;
        Piece found = {{0, 0, 0, 0}};
#pragma unroll
        for (int window = 0; window < 9; window++) {
            const Byte* from = row_of(2 * (top + y) - 1 + window / 3) + (2 * x + window % 3) * PIXEL + piece * 16;
            Piece here = *(const Piece*)from;
            for (int k = 0; k < 4; k++) found.words[k] = most(found.words[k], here.words[k]);
        }
        *(Piece*)(out + ((long long)(top + y) * stem.columns + left + x) * stem.channels + piece * 8) = found;
    }
}

// Pictures [N, height, width, 4]; weights [channels, 7, 8, 4], the first tap of each line 0; results [N, rows, columns, channels].
extern "C" __global__ void __launch_bounds__(THREADS, 2) stem_float16(const Half* in, const Half* weights, const Half* bias, Half* out, Stem stem) {
    int groups = stem.channels / 64, group = blockIdx.y % groups, warp = threadIdx.x / 32;
    int left = blockIdx.x * INNER, step = blockIdx.y / groups * stem.steps, last = step + stem.steps;
    const Half* picture = in + (long long)blockIdx.z * stem.height * stem.width * 4;
    Half* result = out + (long long)blockIdx.z * stem.rows * stem.columns * stem.channels + group * 64;
    int all = (stem.rows + WARPS / 2 - 1) / (WARPS / 2);
    if (last > all) last = all;
    for (int at = threadIdx.x; at < 64 * (DEPTH / 8); at += THREADS) {
        int channel = at / (DEPTH / 8), part = at % (DEPTH / 8);
        fetch(shared() + AT_WEIGHTS + channel * WEIGHTS + part * 16, weights + (group * 64 + channel) * DEPTH + part * 8, true);
    }
    if (threadIdx.x < 64) ((float*)(shared() + AT_BIAS))[threadIdx.x] = of_half(bias[group * 64 + threadIdx.x]);
    int first = 2 * left - 1, turn = 0, begin = step;
    step--;  // the line before the first is made, too: by the last warp of a step before
    fetch_patch(shared() + AT_PATCHES, picture, stem, 2 * WARPS * step - 3, 2 * first - 4);
    fetched();
    for (; step < last; step++, turn ^= 1) {
        if (step + 1 < last)
            fetch_patch(shared() + AT_PATCHES + (turn ^ 1) * PATCH, picture, stem, 2 * WARPS * (step + 1) - 3, 2 * first - 4);
        fetched();
        await<1>();
        __syncthreads();
        int middle = WARPS * step + warp;
        if (step >= begin || warp == WARPS - 1) {
            if (middle >= 0 && middle < stem.middle_rows) {
                convolve(shared() + AT_PATCHES + turn * PATCH, row_of(middle), warp, first, stem);
            } else {
                for (int at = threadIdx.x % 32; at < ROW / 16; at += 32) ((Piece*)row_of(middle))[at] = {{0, 0, 0, 0}};
            }
        }
        __syncthreads();
        if (step >= begin) take_maxima(result, stem, WARPS / 2 * step, left);
    }
}
