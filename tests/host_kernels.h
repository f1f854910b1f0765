// Lets g++ compile our .cu files as C++: a launch is a loop over all threads, one after the other.
#include <algorithm>
#include <cmath>
#include <utility>
#define __device__
#define __global__
#define __forceinline__ inline
#define __syncthreads()  // such kernels run in blocks of one thread
using std::max;
using std::min;
struct Index { int x, y, z; };
static thread_local Index blockIdx, blockDim, threadIdx;

template <class... A, std::size_t... I>
static void call(void (*kernel)(A...), void** given, std::index_sequence<I...>) {
    kernel(*(std::remove_reference_t<A>*)given[I]...);
}

template <class... A>
static void launch(void (*kernel)(A...), const int* grid, const int* block, void** given) {
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
                for (threadIdx.z = 0; threadIdx.z < block[2]; threadIdx.z++)
                    for (threadIdx.y = 0; threadIdx.y < block[1]; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < block[0]; threadIdx.x++)
                            call(kernel, given, std::index_sequence_for<A...>());
}
