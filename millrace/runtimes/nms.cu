// Greedy suppression of the boxes of a picture, one block of threads for each, whose cells stand best first.
//
// What a reader on the CPU will find is not worked out here, only what it cannot find: a box goes if one that stays for
// certain overlaps it by more than the limit, whatever the last bits of both machines' exp, sums and products are. A box
// of which that is not certain stays, and removes nothing. runtimes/torch_nms.py says the same step by step.

enum { CENTRES, CORNERS, GRID };  // how a cell tells its box
enum { STAYS, MAY_STAY, GOES };

struct Box { float x1, y1, x2, y2; };

#define CLOSE 1.9073486e-06f  // 2^-19: what a side can be off, of the numbers that it is made of
#define NEAR 3.8146973e-06f   // 2^-18: what an area can be off besides
#define HUGE_SIDE 1e15f       // beyond it products overflow
#define FRACTIONS 2.0f        // media.tensor

__device__ __forceinline__ Box box_of(const float* cell, const float* place, int kind) {
    if (kind == CORNERS) return {cell[0], cell[1], cell[2], cell[3]};
    float x = cell[0], y = cell[1], wide = cell[2], high = cell[3];
    if (kind == GRID) {  // place: column, row, stride
        x = (x + place[0]) * place[2];
        y = (y + place[1]) * place[2];
        wide = expf(wide) * place[2];
        high = expf(high) * place[2];
    }
    return {x - wide / 2, y - high / 2, x + wide / 2, y + high / 2};
}

__device__ __forceinline__ float sides(Box b) { return fabsf(b.x1) + fabsf(b.y1) + fabsf(b.x2) + fabsf(b.y2); }

// Whether readers may take the box for pixels: then one box that is none must not be left of all.
__device__ __forceinline__ bool far(Box b) { return b.x1 > FRACTIONS || b.y1 > FRACTIONS || b.x2 > FRACTIONS || b.y2 > FRACTIONS; }

__device__ __forceinline__ int fate(Box a, Box b, float limit) {  // of b beside a, which is surer
    float off = CLOSE * (sides(a) + sides(b));
    if (!(off < CLOSE * HUGE_SIDE)) return MAY_STAY;  // NaN, too
    float wide = min(a.x2, b.x2) - max(a.x1, b.x1), high = min(a.y2, b.y2) - max(a.y1, b.y1);
    float least = max(wide - off, 0.0f) * max(high - off, 0.0f), most = max(wide + off, 0.0f) * max(high + off, 0.0f);
    float a_wide = a.x2 - a.x1, a_high = a.y2 - a.y1, b_wide = b.x2 - b.x1, b_high = b.y2 - b.y1;
    float areas = a_wide * a_high + b_wide * b_high;
    float error = off * (fabsf(a_wide) + fabsf(a_high) + fabsf(b_wide) + fabsf(b_high) + 2 * off)
                + NEAR * (fabsf(a_wide * a_high) + fabsf(b_wide * b_high) + most);
    if (least * (1 - NEAR) > limit * (areas - least + error) && (far(a) || !far(b))) return GOES;
    return most * (1 + NEAR) > limit * (areas - most - error) ? MAY_STAY : STAYS;
}

// asked: how sure, which limit, over all classes, for each picture. Scores fall; those that are NaN come first.
extern "C" __global__ void suppress(const float* cells, const int* classes, const float* places, const long long* order,
                                    const float* scores, const float* asked, Box* boxes, unsigned char* fates,
                                    int count, int numbers, int kind) {
    long long first = (long long)blockIdx.x * count;
    float least = asked[3 * blockIdx.x], limit = asked[3 * blockIdx.x + 1];
    bool together = asked[3 * blockIdx.x + 2] != 0.0f;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        long long cell = first + order[first + i];
        boxes[first + i] = box_of(cells + cell * numbers, places + cell * 3, kind);
        fates[first + i] = scores[first + i] < least ? GOES : STAYS;
    }
    __syncthreads();
    if (limit > HUGE_SIDE) return;  // nobody removes anybody
    for (int i = 0; i < count && !(scores[first + i] < least); i++) {
        int mine = fates[first + i];
        if (mine == GOES || !(scores[first + i] >= least)) continue;  // the same for all threads
        Box a = boxes[first + i];
        int its = classes[first + order[first + i]];
        for (int j = i + 1 + threadIdx.x; j < count && !(scores[first + j] < least); j += blockDim.x) {
            if (fates[first + j] == GOES || (!together && classes[first + order[first + j]] != its)) continue;
            int its_fate = fate(a, boxes[first + j], limit);
            if (its_fate == GOES && mine == MAY_STAY) its_fate = MAY_STAY;
            if (its_fate != STAYS) fates[first + j] = its_fate;
        }
        __syncthreads();
    }
}
