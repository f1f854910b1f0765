// What draw.cu and planes.cu share; their text follows this one's, so that NVRTC needs no file of headers. All of it is
// plain C++ too: a test compiles it for the CPU.

typedef unsigned char Byte;
typedef unsigned long long Address;

struct Picture {
    Address y, u, v;       // of the first samples
    int y_pitch, c_pitch;  // bytes from row to row
    int y_step, c_step;    // bytes from sample to sample
    int bytes;             // of a sample; of two the upper one counts
    int width, height;
};

__device__ __forceinline__ int sample(Address plane, int pitch, int step, int bytes, int x, int y) {
    const Byte* at = (const Byte*)(plane + (long long)y * pitch + (long long)x * step);
    if (bytes == 1) return *at;
    int value = at[0] | at[1] << 8;
    return min(255, (value + 127 + ((value >> 8) & 1)) >> 8);  // rounded, halves to even
}

__device__ __forceinline__ int mixed(int under, int over, float cover) {  // OpenCV's blendLinear
    return (int)rintf((under * (1.0f - cover) + over * cover) / ((1.0f - cover) + cover + 1e-5f));
}

// Resizing as OpenCV does it for bytes, bilinear.

struct Way { int low, high, weight; };  // two neighbours, and the second one's weight in 1/2048

__device__ __forceinline__ Way way(int at, int have, int want) {
    double scale = 1.0 / ((double)want / have);
    float f = (float)((at + 0.5) * scale - 0.5);
    float low = floorf(f);
    int first = (int)low, weight = (int)rintf((f - low) * 2048.0f);
    return {min(max(first, 0), have - 1), min(max(first + 1, 0), have - 1), weight};
}

__device__ __forceinline__ int between(int a, int b, int c, int d, int right, int down) {
    int upper = (a * (2048 - right) + b * right) >> 4, lower = (c * (2048 - right) + d * right) >> 4;
    return (((upper * (2048 - down)) >> 16) + ((lower * down) >> 16) + 2) >> 2;
}
