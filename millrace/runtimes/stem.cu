// The first layers of networks of ResNet's kind in one kernel: relu(convolution + bias), 7x7 at step 2 with a border of
// 3, of pictures with 4 channels in half precision, then the maxima of 3x3 at step 2 with a border of 1. Between the two
// nothing goes through memory: the result of the convolution is four times as large as what goes in, and as what comes out.
//
// What a block makes: a strip of 15 columns of the result, 64 channels, from the top down, 4 rows in each step. For
// these 4 rows its eight warps make one line of the convolution each, and the maxima also need the last line of the step
// before: nine lines are kept. Lines of the picture for the next step are on their way meanwhile, in a second patch.
//
// How a line of the convolution is made: as a product of matrices, windows x numbers of a window by numbers x channels.
// The window of column c begins at column 2c - 3 of the picture. One tap more before it, of weight 0, makes that 2c - 4:
// then each line of a window is 8 pixels, 64 bytes, and begins 16 bytes after that of the window before, where the
// instruction that reads matrices can have it. So windows are read where they lie and are never written down.
//
// Outside the picture stands 0. Outside the convolution's result, too: no result of a ReLU is below it.
//
// The instructions: PTX ISA 8.x, "Warp-level Matrix Instructions" (mma.m16n8k16 with .f16 and its fragments, ldmatrix)
// and "Data Movement" (cp.async, cvta); compute capability 8.0 or higher.

typedef unsigned int Word;
typedef unsigned short Half;
typedef unsigned char Byte;
struct alignas(16) Piece { Word words[4]; };  // 8 halves: what a thread reads or writes at a time

enum {
    WARPS = 8, THREADS = 32 * WARPS,
    GROUP = 64,                    // channels of a block
    ACROSS = 32, INNER = 15,       // columns of the convolution (31 are needed), and of the result
    LINES = 2 * WARPS + 5,         // of the picture, for a step
    LINE = (2 * ACROSS + 6) * 8,   // bytes of one
    PATCH = LINES * LINE,
    DEPTH = 7 * 8 * 4,             // numbers of a window: lines, taps, channels
    WEIGHTS = 2 * DEPTH + 16,      // bytes from channel to channel; the 16 put eight of them into different banks
    PIXEL = 2 * GROUP + 16,        // bytes from column to column of the convolution; as well
    ROW = ACROSS * PIXEL,
    ROWS = WARPS + 1,              // lines of the convolution that are kept
    AT_PATCHES = 0, AT_WEIGHTS = 2 * PATCH, AT_ROWS = AT_WEIGHTS + GROUP * WEIGHTS, AT_BIAS = AT_ROWS + ROWS * ROW,
    SHARED = AT_BIAS + 4 * GROUP   // bytes: two blocks find room on a processor of an A100 or H100
};

struct Stem {
    int height, width;                // of the pictures; the width is even
    int middle_rows, middle_columns;  // of the convolution's result
    int rows, columns, channels;      // of what comes out
    int steps;                        // of a block, 4 rows each
};

#ifdef __CUDACC_RTC__  // else tests/host_warps.h plays these
extern __shared__ Piece memory[];
static __device__ __forceinline__ Byte* shared() { return (Byte*)memory; }
static __device__ __forceinline__ Word address(const void* at) {  // in shared memory, as its instructions take it
    Word out;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(out) : "l"(at));
    return out;
}
// Begin to copy 16 bytes into shared memory; zeros, and nothing is read, where `there` is false.
static __device__ __forceinline__ void fetch(Byte* to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
}
// What this thread began to copy is a group; wait for all of its groups but the last.
static __device__ __forceinline__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
static __device__ __forceinline__ void await_all_but_last() { asm volatile("cp.async.wait_group 1;" ::: "memory"); }
// Four matrices of 8x8 halves. Lane l says where row l % 8 of matrix l / 8 lies, 16 bytes; of each it gets two numbers.
static __device__ __forceinline__ void matrices(Word* out, const Byte* at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address(at)) : "memory");
}
// sum += a x b, 16x16 by 16x8, in float32. Lane l has columns l % 4 * 2 and the next of rows l / 4 and l / 4 + 8 of the sum.
static __device__ __forceinline__ void multiply(float* sum, const Word* a, const Word* b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The ReLU of two numbers, as halves. NaN stays what it is, as in PyTorch; so it does in the maxima.
static __device__ __forceinline__ Word rectified(float low, float high) {
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
static __device__ __forceinline__ Word most(Word a, Word b) {  // of two pairs of halves
    Word out;
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
    return out;
}
#endif

// Weights and bias of a block's channels, those of group `group`; the weights are on their way afterwards.
static __device__ __forceinline__ void fetch_weights(const Half* weights, const Half* bias, int group) {
    for (int at = threadIdx.x; at < GROUP * (DEPTH / 8); at += THREADS) {
        int channel = at / (DEPTH / 8), part = at % (DEPTH / 8);
        fetch(shared() + AT_WEIGHTS + channel * WEIGHTS + part * 16, weights + (group * GROUP + channel) * DEPTH + part * 8, true);
    }
    if (threadIdx.x < GROUP) ((float*)(shared() + AT_BIAS))[threadIdx.x] = of_half(bias[group * GROUP + threadIdx.x]);
}

// The part of the picture from line `top` and column `left` on. Two pixels at a time are in it or not: both are even.
static __device__ __forceinline__ void fetch_patch(Byte* to, const Half* picture, const Stem& stem, int top, int left) {
    for (int at = threadIdx.x; at < LINES * (LINE / 16); at += THREADS) {
        int y = at / (LINE / 16), x = at % (LINE / 16);
        int line = top + y, column = left + 2 * x;
        bool there = line >= 0 && line < stem.height && column >= 0 && column < stem.width;
        fetch(to + y * LINE + x * 16, picture + (there ? ((long long)line * stem.width + column) * 4 : 0), there);
    }
}

// By one warp: line `row` (0 to 7) of the convolution in a step's patch, 32 columns from column `first` on, into `to`.
static __device__ __forceinline__ void convolve(const Byte* patch, Byte* to, int row, int first, const Stem& stem) {
    int lane = threadIdx.x % 32;
    float sums[2][8][4];  // of 16 columns each, 8 channels each
    for (int t = 0; t < 2; t++)
        for (int n = 0; n < 8; n++)
            for (int k = 0; k < 4; k++) sums[t][n][k] = 0;
    // Where this lane reads rows of matrices. Windows: columns 0 to 15, first 8 numbers, then the next 8. Weights:
    // channels 0 to 7, first 8 numbers, next 8, then channels 8 to 15.
    const Byte* window = patch + 2 * row * LINE + (lane % 16 + lane / 16) * 16;
    const Byte* weights = shared() + AT_WEIGHTS + (lane % 8 + lane / 16 * 8) * WEIGHTS + lane / 8 % 2 * 16;
#pragma unroll
    for (int step = 0; step < DEPTH / 16; step++) {  // 16 numbers: half a line of the windows
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

// Where line `middle` of the convolution lies, from -WARPS on.
static __device__ __forceinline__ Byte* row_of(int middle) { return shared() + AT_ROWS + (middle + ROWS) % ROWS * ROW; }

// By one warp: a line of the convolution that lies outside its result.
static __device__ __forceinline__ void clear(Byte* row) {
    for (int at = threadIdx.x % 32; at < ROW / 16; at += 32) ((Piece*)row)[at] = {{0, 0, 0, 0}};
}

// Four rows of the result from row `top` and column `left` on.
static __device__ __forceinline__ void take_maxima(Half* out, const Stem& stem, int top, int left) {
    for (int at = threadIdx.x; at < WARPS / 2 * INNER * (GROUP / 8); at += THREADS) {
        int piece = at % (GROUP / 8), x = at / (GROUP / 8) % INNER, y = at / (GROUP / 8) / INNER;
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

// Pictures [N, height, width, 4]; weights [channels, 7, 8, 4], the first tap of each line 0; bias [channels]; results
// [N, rows, columns, channels]. Blocks: strips, parts of the height times groups of channels, pictures.
extern "C" __global__ void __launch_bounds__(THREADS, 2) stem_float16(const Half* in, const Half* weights, const Half* bias, Half* out, Stem stem) {
    int groups = stem.channels / GROUP, group = blockIdx.y % groups, warp = threadIdx.x / 32;
    int left = blockIdx.x * INNER, step = blockIdx.y / groups * stem.steps, last = step + stem.steps;
    const Half* picture = in + (long long)blockIdx.z * stem.height * stem.width * 4;
    Half* result = out + (long long)blockIdx.z * stem.rows * stem.columns * stem.channels + group * GROUP;
    int all = (stem.rows + WARPS / 2 - 1) / (WARPS / 2);
    if (last > all) last = all;
    fetch_weights(weights, bias, group);
    int first = 2 * left - 1, turn = 0, begin = step;
    step--;  // the line before the first step's is needed, too: the last warp makes it, in the step before
    fetch_patch(shared() + AT_PATCHES, picture, stem, 2 * WARPS * step - 3, 2 * first - 4);
    end_group();
    for (; step < last; step++, turn ^= 1) {
        if (step + 1 < last)
            fetch_patch(shared() + AT_PATCHES + (turn ^ 1) * PATCH, picture, stem, 2 * WARPS * (step + 1) - 3, 2 * first - 4);
        end_group();  // an empty one in the last step, so that all but the last are always those that are needed
        await_all_but_last();
        __syncthreads();  // everybody's part of the patch is there, and the maxima of the step before are taken
        int middle = WARPS * step + warp;
        if (step >= begin || warp == WARPS - 1) {
            if (middle >= 0 && middle < stem.middle_rows)
                convolve(shared() + AT_PATCHES + turn * PATCH, row_of(middle), warp, first, stem);
            else
                clear(row_of(middle));
        }
        __syncthreads();  // all lines are there, and this patch may be written again
        if (step >= begin) take_maxima(result, stem, WARPS / 2 * step, left);
    }
}
