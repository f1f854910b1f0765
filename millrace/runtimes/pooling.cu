// Maxima of windows of pictures whose channels lie together, 16 bytes of channels a thread. No headers, as everywhere.

typedef unsigned int Word;

struct alignas(16) Piece { Word words[4]; };  // 8 halves, or 4 floats

struct Pool {
    int pieces;                  // of a pixel's channels
    int height, width;           // of what is read
    int rows, columns;           // of the result
    int window[2], step[2], border[2];  // down, across
};

// The greater of two numbers; a number that is none stays.
static __device__ __forceinline__ float greater(float a, float b) { return b > a || b != b ? b : a; }

#ifdef __CUDACC_RTC__
static __device__ __forceinline__ float number(Word bits) { return __uint_as_float(bits); }
static __device__ __forceinline__ Word bits_of(float value) { return __float_as_uint(value); }
static __device__ __forceinline__ float half_number(Word bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"((unsigned short)bits));
    return value;
}
#else  // tests compile this file as C++
static float number(Word bits) { float value; __builtin_memcpy(&value, &bits, 4); return value; }
static Word bits_of(float value) { Word bits; __builtin_memcpy(&bits, &value, 4); return bits; }
static float half_number(Word bits) { _Float16 half; __builtin_memcpy(&half, &bits, 2); return (float)half; }
#endif

struct Floats {
    static const Word LEAST = 0xff800000;
    static __device__ __forceinline__ Word most(Word a, Word b) { return bits_of(greater(number(a), number(b))); }
};

struct Halves {  // two in a word
    static const Word LEAST = 0xfc00fc00;
    static __device__ __forceinline__ Word most(Word a, Word b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        Word out;
        asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
        return out;
#else
        Word out = 0;
        for (int at = 0; at < 32; at += 16) {
            Word one = a >> at & 0xffff, other = b >> at & 0xffff;
            float x = half_number(one), y = half_number(other);
            out |= (y > x || y != y ? other : one) << at;
        }
        return out;
#endif
    }
};

template <typename Kind>
static __device__ __forceinline__ void max_pool(const Piece* in, Piece* out, const Pool& pool) {
    int at = blockIdx.x * blockDim.x + threadIdx.x;
    int column = at / pool.pieces, piece = at % pool.pieces, row = blockIdx.y;
    if (column >= pool.columns) return;
    int top = row * pool.step[0] - pool.border[0], left = column * pool.step[1] - pool.border[1];
    int bottom = min(top + pool.window[0], pool.height), right = min(left + pool.window[1], pool.width);
    top = max(top, 0);
    left = max(left, 0);
    Piece most = {{Kind::LEAST, Kind::LEAST, Kind::LEAST, Kind::LEAST}};
    const Piece* picture = in + (long long)blockIdx.z * pool.height * pool.width * pool.pieces + piece;
    for (int y = top; y < bottom; y++) {
        for (int x = left; x < right; x++) {
            Piece here = picture[((long long)y * pool.width + x) * pool.pieces];
            for (int word = 0; word < 4; word++) most.words[word] = Kind::most(most.words[word], here.words[word]);
        }
    }
    long long place = (((long long)blockIdx.z * pool.rows + row) * pool.columns + column) * pool.pieces + piece;
    out[place] = most;
}

extern "C" __global__ void max_pool_float16(const Piece* in, Piece* out, Pool pool) { max_pool<Halves>(in, out, pool); }
extern "C" __global__ void max_pool_float32(const Piece* in, Piece* out, Pool pool) { max_pool<Floats>(in, out, pool); }
