// A list of shapes drawn on a picture of 4:2:0 in one pass: each thread keeps 2x2 pixels of luma and one of each chroma
// while it goes through the list, in its order. imaging/cuda_canvas.py fills the list; what each shape covers is what
// imaging/canvas.py lets OpenCV draw on a CPU. No thread needs another. pixels.h comes before.

struct Shape {
    int kind, left, top, right, bottom;  // pixels of luma that it can touch
    Byte colour[4];                      // Y, U, V
    float opacity;
    int count;                           // of points; bytes of a row of coverage; columns of weights
    unsigned long long data;             // points, coverage or weights
    float a, b, c, d, e, f;
};

enum { FILL, FRAME, TEXT, STROKE, DISC, POLYGON, MASK, HEAT };

struct Block {  // what a thread keeps: pixels (x, y) to (x + 1, y + 1), and their chroma at (x / 2, y / 2)
    int x, y;
    int luma[4], chroma[2];
};

struct Point { float x, y; };

// How far OpenCV's smoothed line covers a pixel, by its distance along the minor axis in sixteenths, in 1/256 and for a
// line along an axis: found from lines drawn by it. It blends twice with this; slanted lines count more.
__device__ const float TAIL[26] = {
    179.1f, 178.3f, 174.3f, 167.5f, 159.8f, 150.3f, 139.3f, 127.2f, 114.4f, 101.8f, 89.4f, 77.1f, 65.3f,
    55.1f,  45.8f,  37.1f,  29.6f,  23.4f,  18.2f,  13.9f,  10.0f,  7.6f,   5.6f,   3.5f,  1.5f,  0.0f};

__device__ __forceinline__ int tail(float distance, float slope) {
    float at = fabsf(distance / slope) * 16.0f;
    if (at >= 25.0f) return 0;
    int low = (int)at;
    float level = TAIL[low] + (TAIL[low + 1] - TAIL[low]) * (at - low);
    return min(255, (int)(level / slope));
}

__device__ __forceinline__ int laid(int under, int over, int cover) {  // OpenCV's blending of smoothed edges
    under += ((over - under) * cover + 127) >> 8;
    return under + (((over - under) * cover + 127) >> 8);
}

__device__ __forceinline__ int faded(int under, int over, float share) {
    return (int)rintf(under * (1.0f - share) + over * share);
}

__device__ __forceinline__ bool holds(const Shape& s, int x, int y) {
    return x >= s.left && x < s.right && y >= s.top && y < s.bottom;
}

// Boxes on the chroma's grid, so that 2x2 pixels are one.

__device__ __forceinline__ void draw_box(const Shape& s, Block& b) {
    if (s.kind == FRAME && b.x >= s.a && b.y >= s.b && b.x < s.c && b.y < s.d) return;
    bool solid = s.opacity >= 1.0f;
    for (int i = 0; i < 4; i++) b.luma[i] = solid ? s.colour[0] : faded(b.luma[i], s.colour[0], s.opacity);
    for (int i = 0; i < 2; i++) b.chroma[i] = solid ? s.colour[1 + i] : faded(b.chroma[i], s.colour[1 + i], s.opacity);
}

// A line of text: words with bytes of coverage, `a` rows each, after `f` columns;
// where `b` is not 0 a colour of c, d, e stands behind them.

struct Word { Address mask; int left, width; };  // pixels from the shape's left

__device__ __forceinline__ int covered(const Shape& s, int x, int y) {
    const Word* words = (const Word*)s.data;
    if (!holds(s, x, y) || y - s.top >= (int)s.a) return 0;
    for (int i = 0; i < s.count; i++) {
        int column = x - s.left - (int)s.f - words[i].left;
        if (column >= 0 && column < words[i].width) return ((const Byte*)words[i].mask)[(y - s.top) * words[i].width + column];
    }
    return 0;
}

__device__ __forceinline__ void draw_text(const Shape& s, Block& b) {
    float behind[3] = {s.c, s.d, s.e};
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        int share = covered(s, b.x + (i & 1), b.y + (i >> 1)), under = s.b != 0.0f ? (int)behind[0] : b.luma[i];
        sum += share;
        b.luma[i] = (under * (255 - share) + s.colour[0] * share + 127) / 255;
    }
    int share = (sum + 2) >> 2;
    for (int i = 0; i < 2; i++) {
        int under = s.b != 0.0f ? (int)behind[1 + i] : b.chroma[i];
        b.chroma[i] = (under * (255 - share) + s.colour[1 + i] * share + 127) / 255;
    }
}

// Lines and circles: each plane has its own, `scale` 1 or 2 picture pixels to one of the plane, in sixteenths of those.

__device__ __forceinline__ float snapped(float at, float scale) { return rintf((at / scale - 0.5f) * 16.0f) / 16.0f; }

// A disc about (0, 0) is a polygon for OpenCV, of 4, 12, 20 or 72 corners; the first one lies to the right.
__device__ __forceinline__ int round_cover(float dx, float dy, float radius) {
    if (fmaxf(fabsf(dx), fabsf(dy)) > radius + 3.0f) return 0;
    int size = (int)floorf(radius + 0.5f);
    float turn = 6.2831853f / (size < 3 ? 4 : size < 10 ? 12 : size < 15 ? 20 : 72);
    float normal = (floorf(atan2f(dy, dx) / turn) + 0.5f) * turn;  // of the side that is near
    float across = cosf(normal), down = sinf(normal);
    float out = dx * across + dy * down - radius * cosf(turn * 0.5f);
    return out <= 1e-4f ? 256 : tail(out, fmaxf(fabsf(across), fabsf(down)));
}

__device__ __forceinline__ int on_disc(int level, int over, float dx, float dy, float radius) {
    int cover = round_cover(dx, dy, radius);
    return cover == 256 ? over : laid(level, over, cover);
}

// What OpenCV draws of a thick segment: its four sides, smoothed, what lies between them, and a disc at each end.
__device__ __forceinline__ int on_segment(int level, int over, float px, float py, Point a, Point b, int thick, bool first) {
    float dx = b.x - a.x, dy = b.y - a.y, length = sqrtf(dx * dx + dy * dy);
    float reach = (float)((thick + 1) / 2);
    if (length > 0.0f) {
        float along = ((px - a.x) * dx + (py - a.y) * dy) / length;
        float across = ((py - a.y) * dx - (px - a.x) * dy) / length;
        float slope = fmaxf(fabsf(dx), fabsf(dy)) / length;
        if (thick == 1) {
            if (along >= -0.5f && along <= length + 0.5f) level = laid(level, over, tail(across, slope));
            return level;
        }
        float out = fabsf(across) - reach, beyond = fmaxf(-along, along - length);
        bool rows = dy == 0.0f && (py < a.y ? out < 0.5f : out <= 0.5f);  // sides along rows are rounded to whole ones
        if (beyond <= 0.0f && (out <= 0.0f || rows)) return over;
        if (beyond <= 0.5f && out > 0.0f) level = laid(level, over, tail(out, slope));
        if (beyond > 0.0f && out <= 0.5f) level = laid(level, over, tail(beyond, slope));
        if (first) level = on_disc(level, over, px - a.x, py - a.y, thick * 0.5f);
        return on_disc(level, over, px - b.x, py - b.y, thick * 0.5f);
    }
    if (thick == 1) return laid(level, over, tail(fmaxf(fabsf(px - a.x), fabsf(py - a.y)), 1.0f));
    return on_disc(level, over, px - a.x, py - a.y, thick * 0.5f);
}

__device__ __forceinline__ void draw_stroke(const Shape& s, Block& b) {
    const Point* points = (const Point*)s.data;
    int thick = (int)s.a, thin = (int)s.b;
    float margin = s.a + 3.0f;
    for (int i = 0; i + 1 < s.count; i++) {
        Point p = points[i], q = points[i + 1];
        if (b.x + 1 < fminf(p.x, q.x) - margin || b.x > fmaxf(p.x, q.x) + margin) continue;
        if (b.y + 1 < fminf(p.y, q.y) - margin || b.y > fmaxf(p.y, q.y) + margin) continue;
        Point p1 = {snapped(p.x, 1.0f), snapped(p.y, 1.0f)}, q1 = {snapped(q.x, 1.0f), snapped(q.y, 1.0f)};
        Point p2 = {snapped(p.x, 2.0f), snapped(p.y, 2.0f)}, q2 = {snapped(q.x, 2.0f), snapped(q.y, 2.0f)};
        bool first = i == 0 && s.c == 0.0f;
        for (int k = 0; k < 4; k++)
            b.luma[k] = on_segment(b.luma[k], s.colour[0], b.x + (k & 1), b.y + (k >> 1), p1, q1, thick, first);
        for (int k = 0; k < 2; k++)
            b.chroma[k] = on_segment(b.chroma[k], s.colour[1 + k], b.x / 2, b.y / 2, p2, q2, thin, first);
    }
}

__device__ __forceinline__ void draw_disc(const Shape& s, Block& b) {
    float x1 = snapped(s.a, 1.0f), y1 = snapped(s.b, 1.0f), x2 = snapped(s.a, 2.0f), y2 = snapped(s.b, 2.0f);
    float whole = rintf(s.c * 16.0f) / 16.0f, half = rintf(s.c * 8.0f) / 16.0f;
    for (int k = 0; k < 4; k++)
        b.luma[k] = on_disc(b.luma[k], s.colour[0], b.x + (k & 1) - x1, b.y + (k >> 1) - y1, whole);
    for (int k = 0; k < 2; k++) b.chroma[k] = on_disc(b.chroma[k], s.colour[1 + k], b.x / 2 - x2, b.y / 2 - y2, half);
}

// Polygons: the pixels of each row between the edges, by pairs, and those that the edges pass.

__device__ __forceinline__ bool in_polygon(const Point* points, int count, float px, float py) {
    bool inside = false;
    Point a = {snapped(points[count - 1].x, 1.0f), snapped(points[count - 1].y, 1.0f)};
    for (int i = 0; i < count; i++) {
        Point b = {snapped(points[i].x, 1.0f), snapped(points[i].y, 1.0f)};
        if ((a.y <= py) != (b.y <= py)) {
            float x = a.x + (py - a.y) * (b.x - a.x) / (b.y - a.y);
            if (x >= px) inside = !inside;
        }
        float ax = floorf(a.x + 0.5f), ay = floorf(a.y + 0.5f), bx = floorf(b.x + 0.5f), by = floorf(b.y + 0.5f);
        float dx = bx - ax, dy = by - ay;
        if (px >= fminf(ax, bx) && px <= fmaxf(ax, bx) && py >= fminf(ay, by) && py <= fmaxf(ay, by)) {
            bool flat = fabsf(dx) >= fabsf(dy);
            float off = flat ? (dx == 0.0f ? py - ay : py - ay - (px - ax) * dy / dx) : px - ax - (py - ay) * dx / dy;
            if (fabsf(off) <= 0.5f) return true;
        }
        a = b;
    }
    return inside;
}

__device__ __forceinline__ void draw_polygon(const Shape& s, Block& b) {
    const Point* points = (const Point*)s.data;
    int sum = 0, seen[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4; i++) {
        int x = b.x + (i & 1), y = b.y + (i >> 1);
        if (x >= s.right && i & 1) seen[i] = seen[i - 1];  // beyond an odd edge the last pixel is repeated
        else if (y >= s.bottom && i > 1) seen[i] = seen[i - 2];
        else seen[i] = in_polygon(points, s.count, (float)x, (float)y) ? 255 : 0;
        sum += seen[i];
        if (seen[i]) b.luma[i] = faded(b.luma[i], s.colour[0], s.opacity);
    }
    float cover = ((sum + 2) >> 2) * (s.opacity / 255.0f);
    for (int i = 0; i < 2; i++) b.chroma[i] = mixed(b.chroma[i], s.colour[1 + i], cover);
}

// Masks: weights of 0..1, `count` columns and `f` rows, stretched: column = a * x + b, row = c * y + d. Pixels before
// (e's) rounded corner count nothing: the shape's own bounds are even.

__device__ __forceinline__ float weight_at(const Shape& s, int x, int y) {
    const float* weights = (const float*)s.data;
    int rows = (int)s.f;
    float u = fminf(fmaxf(s.a * (x - s.left) + s.b, 0.0f), s.count - 1.0f), v = fminf(fmaxf(s.c * (y - s.top) + s.d, 0.0f), rows - 1.0f);
    int x0 = (int)u, y0 = (int)v, x1 = min(x0 + 1, s.count - 1), y1 = min(y0 + 1, rows - 1);
    float p = u - x0, q = v - y0;
    float upper = weights[y0 * s.count + x0] * (1.0f - p) + weights[y0 * s.count + x1] * p;
    float lower = weights[y1 * s.count + x0] * (1.0f - p) + weights[y1 * s.count + x1] * p;
    return upper * (1.0f - q) + lower * q;
}

__device__ __forceinline__ void draw_mask(const Shape& s, Block& b) {
    const int* inner = (const int*)((const float*)s.data + (long long)s.count * (int)s.f);  // x1 y1 x2 y2, rounded
    float sum = 0.0f, seen[4];
    for (int i = 0; i < 4; i++) {
        int x = b.x + (i & 1), y = b.y + (i >> 1);
        if (x >= s.right && i & 1) seen[i] = seen[i - 1];
        else if (y >= s.bottom && i > 1) seen[i] = seen[i - 2];
        else seen[i] = x >= inner[0] && y >= inner[1] && x < inner[2] && y < inner[3] ? weight_at(s, x, y) * s.opacity : 0.0f;
        sum += seen[i];
        if (holds(s, x, y)) b.luma[i] = mixed(b.luma[i], s.colour[0], seen[i]);
    }
    for (int i = 0; i < 2; i++) b.chroma[i] = mixed(b.chroma[i], s.colour[1 + i], sum * 0.25f);
}

// Heat: bytes of 0..255, `count` columns and `f` rows, stretched over each plane as OpenCV resizes bytes; behind them
// 256 colours of Y, U, V and nothing.

__device__ __forceinline__ int warmth(const Byte* steps, int pitch, Way x, Way y) {
    const Byte *upper = steps + y.low * pitch, *lower = steps + y.high * pitch;
    return between(upper[x.low], upper[x.high], lower[x.low], lower[x.high], x.weight, y.weight);
}

__device__ __forceinline__ void draw_heat(const Shape& s, Block& b) {
    const Byte* steps = (const Byte*)s.data;
    int rows = (int)s.f, half_w = (s.right + 1) / 2, half_h = (s.bottom + 1) / 2;
    const Byte* colours = steps + (long long)s.count * rows;
    for (int i = 0; i < 4; i++) {
        int x = b.x + (i & 1), y = b.y + (i >> 1);
        if (!holds(s, x, y)) continue;
        int level = warmth(steps, s.count, way(x, s.count, s.right), way(y, rows, s.bottom));
        b.luma[i] = mixed(b.luma[i], colours[4 * level], fminf(level / 96.0f, 1.0f) * s.opacity);
    }
    int level = warmth(steps, s.count, way(b.x / 2, s.count, half_w), way(b.y / 2, rows, half_h));
    for (int i = 0; i < 2; i++)
        b.chroma[i] = mixed(b.chroma[i], colours[4 * level + 1 + i], fminf(level / 96.0f, 1.0f) * s.opacity);
}

// The picture.

__device__ __forceinline__ void draw_shape(const Shape& s, Block& b) {
    if (s.kind <= FRAME) draw_box(s, b);
    else if (s.kind == TEXT) draw_text(s, b);
    else if (s.kind == STROKE) draw_stroke(s, b);
    else if (s.kind == DISC) draw_disc(s, b);
    else if (s.kind == POLYGON) draw_polygon(s, b);
    else if (s.kind == MASK) draw_mask(s, b);
    else draw_heat(s, b);
}

// `from` and `to` are one picture or two of one size; `to` has 8 bits. Blocks (left, top) and on are drawn.
extern "C" __global__ void draw(Picture from, Picture to, const Shape* shapes, int count, int left, int top, int right, int bottom) {
    Block b;
    b.x = left + 2 * (blockIdx.x * blockDim.x + threadIdx.x);
    b.y = top + 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (b.x >= right || b.y >= bottom) return;
    int cx = b.x / 2, cy = b.y / 2;
    for (int i = 0; i < 4; i++) {
        int x = min(b.x + (i & 1), from.width - 1), y = min(b.y + (i >> 1), from.height - 1);
        b.luma[i] = sample(from.y, from.y_pitch, from.y_step, from.bytes, x, y);
    }
    b.chroma[0] = sample(from.u, from.c_pitch, from.c_step, from.bytes, cx, cy);
    b.chroma[1] = sample(from.v, from.c_pitch, from.c_step, from.bytes, cx, cy);
    for (int i = 0; i < count; i++) {
        const Shape& s = shapes[i];
        if (b.x + 1 < s.left || b.x >= s.right || b.y + 1 < s.top || b.y >= s.bottom) continue;
        draw_shape(s, b);
    }
    for (int i = 0; i < 4; i++) {
        int x = b.x + (i & 1), y = b.y + (i >> 1);
        if (x < to.width && y < to.height) *(Byte*)(to.y + (long long)y * to.y_pitch + (long long)x * to.y_step) = (Byte)b.luma[i];
    }
    *(Byte*)(to.u + (long long)cy * to.c_pitch + (long long)cx * to.c_step) = (Byte)b.chroma[0];
    *(Byte*)(to.v + (long long)cy * to.c_pitch + (long long)cx * to.c_step) = (Byte)b.chroma[1];
}
