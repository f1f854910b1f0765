// Lets g++ compile our .cu files as C++: a launch is a loop over all threads, one after the other. Where threads of a
// block meet (TOGETHER is defined), they are threads of the CPU, which do.
#include <algorithm>
#include <cmath>
#include <thread>
#include <utility>
#include <vector>
#include <pthread.h>
#define __device__
#define __global__
#define __forceinline__ inline
using std::max;
using std::min;
struct Index { int x, y, z; };
static thread_local Index blockIdx, blockDim, threadIdx;
static pthread_barrier_t meeting;
#ifndef __syncthreads
#define __syncthreads() pthread_barrier_wait(&meeting)
#endif

template <class... A, std::size_t... I>
static void call(void (*kernel)(A...), void** given, std::index_sequence<I...>) {
    kernel(*(std::remove_reference_t<A>*)given[I]...);
}

template <class... A>
static void run_block(void (*kernel)(A...), void** given) {
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; threadIdx.z++)
        for (threadIdx.y = 0; threadIdx.y < blockDim.y; threadIdx.y++)
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
                call(kernel, given, std::index_sequence_for<A...>());
}

template <class... A>
static void run_block_together(void (*kernel)(A...), void** given) {
    int count = blockDim.x * blockDim.y * blockDim.z;
    pthread_barrier_init(&meeting, nullptr, count);
    std::vector<std::thread> threads;
    for (int at = 0; at < count; at++)
        threads.emplace_back([=, block = blockIdx, size = blockDim] {
            blockIdx = block;
            blockDim = size;
            threadIdx = {at % size.x, at / size.x % size.y, at / size.x / size.y};
            call(kernel, given, std::index_sequence_for<A...>());
        });
    for (std::thread& thread : threads) thread.join();
    pthread_barrier_destroy(&meeting);
}

template <class... A>
static void launch(void (*kernel)(A...), const int* grid, const int* block, void** given) {
    blockDim = {block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
#ifdef TOGETHER
                run_block_together(kernel, given);
#else
                run_block(kernel, given);
#endif
}

// The bytes of each parameter of a kernel, and how many there are.
template <class... A>
static int sizes(void (*)(A...), int* out) {
    int count = 0;
    ((out[count++] = (int)sizeof(A)), ...);
    return count;
}
