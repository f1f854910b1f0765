// Lets g++ compile a .cu file whose threads work together: a block's threads are fibers, which run until they meet at a
// barrier; what warps do together (matrices) is done with what each lane has put down.
#include <cstring>
#include <ucontext.h>
#include <vector>
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
struct Index { int x, y, z; };
static Index blockIdx, threadIdx;
static ucontext_t scheduler;
struct Fiber { ucontext_t at; std::vector<char> stack = std::vector<char>(1 << 16); bool done = false; };
static std::vector<Fiber>* fibers;
static int running;

struct Meeting {
    int count = 0, generation = 0;
    void meet(int all) {
        int mine = generation;
        if (++count == all) { count = 0; generation++; }
        while (generation == mine) swapcontext(&(*fibers)[running].at, &scheduler);
    }
};
struct Put { const void* at[32]; unsigned a[32][4], b[32][2]; Meeting meeting; };
static Meeting everybody;
static Put warps[32];
static void __syncthreads() { everybody.meet((int)fibers->size()); }

static float of_half(unsigned bits) { unsigned short low = (unsigned short)bits; _Float16 v; memcpy(&v, &low, 2); return (float)v; }
static unsigned to_half(float v) { _Float16 h = (_Float16)v; unsigned short bits; memcpy(&bits, &h, 2); return bits; }
static float greater(float a, float b) { return b > a || b != b ? b : a; }

static void matrices(unsigned* out, const void* at) {
    int lane = threadIdx.x % 32;
    Put& put = warps[threadIdx.x / 32];
    put.at[lane] = at;
    put.meeting.meet(32);
    for (int m = 0; m < 4; m++) memcpy(out + m, (const char*)put.at[8 * m + lane / 4] + lane % 4 * 4, 4);
    put.meeting.meet(32);
}
static void multiply(float* sum, const unsigned* a, const unsigned* b) {
    int lane = threadIdx.x % 32;
    Put& put = warps[threadIdx.x / 32];
    memcpy(put.a[lane], a, 16);
    memcpy(put.b[lane], b, 8);
    put.meeting.meet(32);
    for (int part = 0; part < 4; part++) {
        int row = lane / 4 + part / 2 * 8, column = lane % 4 * 2 + part % 2;
        for (int k = 0; k < 16; k++) {
            unsigned one = put.a[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2] >> k % 2 * 16;
            unsigned other = put.b[column * 4 + k % 8 / 2][k / 8] >> k % 2 * 16;
            sum[part] += of_half(one) * of_half(other);
        }
    }
    put.meeting.meet(32);
}
static unsigned rectified(float low, float high) { return to_half(greater(low, 0.0f)) | to_half(greater(high, 0.0f)) << 16; }
static unsigned most(unsigned a, unsigned b) {
    return to_half(greater(of_half(a), of_half(b))) | to_half(greater(of_half(a >> 16), of_half(b >> 16))) << 16;
}
static void fetch(unsigned char* to, const void* from, bool there) {
    if (there) memcpy(to, from, 16); else memset(to, 0, 16);
}
static void end_group() {}
static void await_all_but_last() {}
alignas(16) static unsigned char shared_memory[1 << 18];
static unsigned char* shared() { return shared_memory; }

template <class Work> struct Start { static Work* work; static void begin() { (*work)(); (*fibers)[running].done = true; swapcontext(&(*fibers)[running].at, &scheduler); } };
template <class Work> Work* Start<Work>::work;

template <class Work>
static void launch(const int* grid, int threads, Work work) {
    Start<Work>::work = &work;
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) {
                memset(shared_memory, 0x7e, sizeof shared_memory);  // no numbers
                std::vector<Fiber> made(threads);
                fibers = &made;
                for (Fiber& each : made) {
                    getcontext(&each.at);
                    each.at.uc_stack.ss_sp = each.stack.data();
                    each.at.uc_stack.ss_size = each.stack.size();
                    makecontext(&each.at, Start<Work>::begin, 0);
                }
                for (bool more = true; more;) {
                    more = false;
                    for (running = 0; running < threads; running++) {
                        if (made[running].done) continue;
                        more = true;
                        threadIdx.x = running;
                        swapcontext(&scheduler, &made[running].at);
                    }
                }
            }
}
