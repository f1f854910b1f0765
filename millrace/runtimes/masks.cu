// What the coefficients of a picture's rows make of its prototypes, at single pixels: one thread for each.

// pixels: which of a prototype; rows: whose coefficients, from `first` on in its `numbers`; `count` at the end: nobody's.
extern "C" __global__ void mask_logits(const float* prototypes, const float* cells, const long long* pixels,
                                       const long long* rows, float* logits, int size, int count, int numbers, int first,
                                       long long picture, long long prototype, long long pixel) {
    int at = blockIdx.x * blockDim.x + threadIdx.x, n = blockIdx.z;
    if (at >= size) return;
    long long here = (long long)n * size + at, row = rows[here];
    float sum = 0.0f;
    if (row < count) {
        const float* value = prototypes + n * picture + pixels[here] * pixel;
        const float* factor = cells + (n * count + row) * numbers;
        for (int k = first; k < numbers; k++, value += prototype) sum += factor[k] * *value;
    }
    logits[here] = sum;
}
