// Pictures in NV12 or P010 to a network's input, in one pass. The formulas are those of imaging/cuda.py's docstring.
// No headers: NVRTC then needs none on the machine.

struct Row {                     // one picture of the batch; imaging/cuda.py fills it
    unsigned long long luma, chroma;  // addresses of the planes
    int luma_pitch, chroma_pitch;     // bytes from row to row
    int width, height;                // of the picture, pixels
    int left, top, inner_width, inner_height;  // what it covers in the input
    float offset, gain, v_to_r, u_to_g, v_to_g, u_to_b;  // YUV to RGB, 0..255
};

__device__ __forceinline__ float mix(float a, float b, float t) { return fmaf(t, b - a, a); }

template <typename Pixel> __device__ __forceinline__ float level(Pixel p);
template <> __device__ __forceinline__ float level(unsigned char p) { return p; }
template <> __device__ __forceinline__ float level(unsigned short p) { return p * (1.0f / 256.0f); }

struct Tap { int low, high; float t; };  // two neighbours and the way from one to the other

__device__ __forceinline__ Tap tap(float at, int size) {
    at = fminf(fmaxf(at, 0.0f), (float)(size - 1));
    int low = (int)at;
    return {low, min(low + 1, size - 1), at - low};
}

template <typename Pixel>
__device__ __forceinline__ float luma_at(const Row& row, Tap x, Tap y) {
    const Pixel* upper = (const Pixel*)(row.luma + (long long)y.low * row.luma_pitch);
    const Pixel* lower = (const Pixel*)(row.luma + (long long)y.high * row.luma_pitch);
    return mix(mix(level(upper[x.low]), level(upper[x.high]), x.t), mix(level(lower[x.low]), level(lower[x.high]), x.t), y.t);
}

template <typename Pixel> struct Pair { Pixel u, v; };

template <typename Pixel>
__device__ __forceinline__ float2 chroma_at(const Row& row, Tap x, Tap y) {
    const Pair<Pixel>* upper = (const Pair<Pixel>*)(row.chroma + (long long)y.low * row.chroma_pitch);
    const Pair<Pixel>* lower = (const Pair<Pixel>*)(row.chroma + (long long)y.high * row.chroma_pitch);
    Pair<Pixel> a = upper[x.low], b = upper[x.high], c = lower[x.low], d = lower[x.high];
    return {mix(mix(level(a.u), level(b.u), x.t), mix(level(c.u), level(d.u), x.t), y.t),
            mix(mix(level(a.v), level(b.v), x.t), mix(level(c.v), level(d.v), x.t), y.t)};
}

__device__ __forceinline__ void store(float* out, float value) { *out = value; }

typedef unsigned short Half;  // the bits of a float16
__device__ __forceinline__ void store(Half* out, float value) {
    Half bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    *out = bits;
}

struct Affine { float scale[3], bias[3]; };  // per channel of the output: value = level * scale + bias

template <typename Pixel, typename Out>
__device__ __forceinline__ void to_tensor(const Row* rows, Out* out, int width, int height, int swap, float pad, Affine a) {
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Row& row = rows[blockIdx.z];
    float red = pad, green = pad, blue = pad;
    int ix = x - row.left, iy = y - row.top;
    if (ix >= 0 && iy >= 0 && ix < row.inner_width && iy < row.inner_height) {
        float u = (ix + 0.5f) / row.inner_width, v = (iy + 0.5f) / row.inner_height;
        int cw = (row.width + 1) / 2, ch = (row.height + 1) / 2;
        float l = luma_at<Pixel>(row, tap(u * row.width - 0.5f, row.width), tap(v * row.height - 0.5f, row.height));
        float2 c = chroma_at<Pixel>(row, tap(u * cw - 0.5f, cw), tap(v * ch - 0.5f, ch));
        float base = (l - row.offset) * row.gain, du = c.x - 128.0f, dv = c.y - 128.0f;
        red = fminf(fmaxf(base + row.v_to_r * dv, 0.0f), 255.0f);
        green = fminf(fmaxf(base + row.u_to_g * du + row.v_to_g * dv, 0.0f), 255.0f);
        blue = fminf(fmaxf(base + row.u_to_b * du, 0.0f), 255.0f);
    }
    long long plane = (long long)width * height;
    Out* first = out + 3 * plane * blockIdx.z + (long long)y * width + x;
    store(first, (swap ? blue : red) * a.scale[0] + a.bias[0]);
    store(first + plane, green * a.scale[1] + a.bias[1]);
    store(first + 2 * plane, (swap ? red : blue) * a.scale[2] + a.bias[2]);
}

#define ENTRY(NAME, PIXEL, OUT)                                                                                       \
    extern "C" __global__ void NAME(const Row* rows, OUT* out, int width, int height, int swap, float pad, Affine a) { \
        to_tensor<PIXEL, OUT>(rows, out, width, height, swap, pad, a);                                                \
    }

ENTRY(nv12_to_float32, unsigned char, float)
ENTRY(nv12_to_float16, unsigned char, Half)
ENTRY(p010_to_float32, unsigned short, float)
ENTRY(p010_to_float16, unsigned short, Half)
