// Pictures of any layout as planes of samples: copied, resized, mirrored, turned, straightened by maps, put together and
// made unrecognisable. imaging/cuda_pictures.py launches them; pixels.h comes before. Each kernel does what the function
// of the same name does on a CPU (imaging/compose.py, convert.py, privacy.py, dewarp.py).

struct View {  // one kind of sample: Y, U, V or grey
    Address data;
    int row, step;  // bytes from row to row, from sample to sample
    int bytes;      // of a sample
    int width, height;
    int unused;
};

struct Views { View from[3], to[3]; };

__device__ __forceinline__ int raw(const View& v, int x, int y) {
    const Byte* at = (const Byte*)(v.data + (long long)y * v.row + (long long)x * v.step);
    return v.bytes == 1 ? *at : at[0] | at[1] << 8;
}

__device__ __forceinline__ int level(const View& v, int x, int y) { return sample(v.data, v.row, v.step, v.bytes, x, y); }

__device__ __forceinline__ void store(const View& v, int x, int y, int value) {
    Byte* at = (Byte*)(v.data + (long long)y * v.row + (long long)x * v.step);
    at[0] = (Byte)value;
    if (v.bytes == 2) at[1] = (Byte)(value >> 8);
}

__device__ __forceinline__ int rounded(float value) { return (int)rintf(fminf(fmaxf(value, 0.0f), 255.0f)); }

#define HERE                                              \
    int x = blockIdx.x * blockDim.x + threadIdx.x;        \
    int y = blockIdx.y * blockDim.y + threadIdx.y;

struct Levels { int of[3]; };

extern "C" __global__ void fill(Views v, Levels levels) {
    HERE;
    const View& to = v.to[blockIdx.z];
    if (x >= to.width || y >= to.height) return;
    store(to, x, y, levels.of[blockIdx.z]);
}

extern "C" __global__ void copy(Views v) {  // sixteen bits become eight where `to` has eight
    HERE;
    const View &from = v.from[blockIdx.z], &to = v.to[blockIdx.z];
    if (x >= to.width || y >= to.height) return;
    store(to, x, y, to.bytes == 1 ? level(from, x, y) : raw(from, x, y));
}

// Mirrored, turned.

// `over`: columns become rows. The source's columns and rows may be read backwards; `between` says of which chroma then
// lies between its old places.

__device__ __forceinline__ int beside(const View& v, int x, int y, int columns) {  // chroma between its old places
    int value = raw(v, x, y);
    return columns ? (value + raw(v, max(x - 1, 0), y) + 1) / 2 : value;
}

extern "C" __global__ void turn(Views v, int over, int columns, int rows, int between) {
    HERE;
    const View &from = v.from[blockIdx.z], &to = v.to[blockIdx.z];
    if (x >= to.width || y >= to.height) return;
    int fx = over ? y : x, fy = over ? x : y;
    if (columns) fx = from.width - 1 - fx;
    if (rows) fy = from.height - 1 - fy;
    int which = blockIdx.z ? between : 0, value = beside(from, fx, fy, which & 1);
    if (which & 2) value = (value + beside(from, fx, max(fy - 1, 0), which & 1) + 1) / 2;
    store(to, x, y, value);
}

// Resized: means of areas where neither side grows, else bilinear.

struct Span { int first, count, whole; float head, body, tail; };  // the samples under one of the result, and their shares

__device__ __forceinline__ Span span(int have, int want, int index) {
    Span out = {0, 0, 0, 0.0f, 1.0f, 0.0f};
    if (have % want == 0) {
        out.whole = 1;
        out.count = have / want;
        out.first = index * out.count;
        out.body = 1.0f / out.count;
        return out;
    }
    double scale = 1.0 / ((double)want / have), begin = index * scale, end = begin + scale;
    double size = fmin(scale, have - begin);
    int last = (int)fmin(floor(end), have - 1.0), first = (int)fmin(ceil(begin), (double)last);
    out.first = first;
    out.count = last - first;
    out.body = (float)(1.0 / size);
    if (first - begin > 1e-3) out.first--, out.count++, out.head = (float)((first - begin) / size);
    if (end - last > 1e-3) out.count++, out.tail = (float)(fmin(fmin(end - last, 1.0), size) / size);
    return out;
}

__device__ __forceinline__ float share(const Span& s, int index) {
    if (index == 0 && s.head > 0.0f) return s.head;
    return index == s.count - 1 && s.tail > 0.0f ? s.tail : s.body;
}

template <bool wide> __device__ __forceinline__ int value(const View& v, int x, int y) {
    return wide ? raw(v, x, y) : level(v, x, y);
}

template <bool wide> __device__ __forceinline__ float row_mean(const View& v, const Span& columns, int y) {
    float sum = 0.0f;
    for (int i = 0; i < columns.count; i++) sum += value<wide>(v, columns.first + i, y) * share(columns, i);
    return sum;
}

template <bool wide> __device__ __forceinline__ int area_mean(const View& v, const Span& columns, const Span& rows) {
    float sum = 0.0f;
    if (columns.whole && rows.whole) {
        for (int j = 0; j < rows.count; j++)
            for (int i = 0; i < columns.count; i++) sum += value<wide>(v, columns.first + i, rows.first + j);
        if (columns.count == 2 && rows.count == 2) return ((int)sum + 2) >> 2;
        return (int)rintf(sum * (1.0f / (columns.count * rows.count)));
    }
    for (int j = 0; j < rows.count; j++) sum += row_mean<wide>(v, columns, rows.first + j) * share(rows, j);
    return (int)rintf(sum);
}

template <bool wide> __device__ __forceinline__ int bilinear(const View& v, Way x, Way y) {  // of bytes
    int a = value<wide>(v, x.low, y.low), b = value<wide>(v, x.high, y.low);
    int c = value<wide>(v, x.low, y.high), d = value<wide>(v, x.high, y.high);
    return between(a, b, c, d, x.weight, y.weight);
}

__device__ __forceinline__ float place(int at, int have, int want) {
    return fminf(fmaxf((at + 0.5f) * have / want - 0.5f, 0.0f), have - 1.0f);
}

__device__ __forceinline__ int bilinear_wide(const View& v, float x, float y) {  // sixteen bits stay
    int x0 = (int)x, y0 = (int)y, x1 = min(x0 + 1, v.width - 1), y1 = min(y0 + 1, v.height - 1);
    float p = x - x0, q = y - y0;
    float upper = raw(v, x0, y0) * (1.0f - p) + raw(v, x1, y0) * p, lower = raw(v, x0, y1) * (1.0f - p) + raw(v, x1, y1) * p;
    return (int)rintf(upper * (1.0f - q) + lower * q);
}

__device__ __forceinline__ int nearest(int at, int have, int want) {  // OpenCV may take the other one of two that tie
    return (int)((2ll * at + 1) * have / (2ll * want));
}

enum { AUTO, NEAREST, BILINEAR, AREA };

extern "C" __global__ void resize(Views v, int method) {
    HERE;
    const View &from = v.from[blockIdx.z], &to = v.to[blockIdx.z];
    if (x >= to.width || y >= to.height) return;
    bool same = to.width == from.width && to.height == from.height;
    bool shrinks = to.width <= from.width && to.height <= from.height && method != BILINEAR;
    if (same || method == NEAREST) {
        int fx = nearest(x, from.width, to.width), fy = nearest(y, from.height, to.height);
        store(to, x, y, to.bytes == 2 ? raw(from, fx, fy) : level(from, fx, fy));
    } else if (shrinks) {
        Span columns = span(from.width, to.width, x), rows = span(from.height, to.height, y);
        store(to, x, y, to.bytes == 2 ? area_mean<true>(from, columns, rows) : area_mean<false>(from, columns, rows));
    } else if (to.bytes == 2) {
        store(to, x, y, bilinear_wide(from, place(x, from.width, to.width), place(y, from.height, to.height)));
    } else {
        store(to, x, y, bilinear<false>(from, way(x, from.width, to.width), way(y, from.height, to.height)));
    }
}

// Fetched by maps, in the fixed-point form of cv2.remap: columns and rows as whole numbers, then the way to the next ones
// in 1/32 (column + 32 * row). Outside is `outside`; where it `wraps`, the first column stands behind the last.

struct Plan { Address whole, rest; };  // short [2] and unsigned short for each sample
struct Plans { Plan luma, chroma; };

__device__ __forceinline__ int fetched(const View& v, int x, int y, int wraps, int outside) {
    if (wraps && x == v.width) x = 0;
    return x >= 0 && y >= 0 && x < v.width && y < v.height ? level(v, x, y) : outside;
}

extern "C" __global__ void remap(Views v, Plans plans, int planar, int wraps, Levels outside) {
    HERE;
    const View &from = v.from[blockIdx.z], &to = v.to[blockIdx.z];
    if (x >= to.width || y >= to.height) return;
    const Plan& plan = blockIdx.z && planar ? plans.chroma : plans.luma;
    long long at = (long long)y * to.width + x;
    const short* whole = (const short*)plan.whole + 2 * at;
    int rest = ((const unsigned short*)plan.rest)[at], p = rest & 31, q = rest >> 5 & 31, x0 = whole[0], y0 = whole[1];
    int other = outside.of[blockIdx.z];
    int upper = fetched(from, x0, y0, wraps, other) * (32 - p) + fetched(from, x0 + 1, y0, wraps, other) * p;
    int lower = fetched(from, x0, y0 + 1, wraps, other) * (32 - p) + fetched(from, x0 + 1, y0 + 1, wraps, other) * p;
    store(to, x, y, (upper * (32 - q) + lower * q + 512) >> 10);
}

// Colours. Packed pixels have three bytes, red first or (`swap`) blue first.

struct Colours { float offset, gain, v_to_r, u_to_g, v_to_g, u_to_b; };

extern "C" __global__ void to_packed(Views v, Address out, int row, int swap, Colours c) {
    HERE;
    if (x >= v.from[0].width || y >= v.from[0].height) return;
    float luma = level(v.from[0], x, y), du = level(v.from[1], x / 2, y / 2), dv = level(v.from[2], x / 2, y / 2);
    Byte* to = (Byte*)(out + (long long)y * row + 3ll * x);
    float shift = -c.offset * c.gain;
    int red = rounded(luma * c.gain + dv * c.v_to_r + (shift - 128.0f * c.v_to_r));
    int green = rounded(luma * c.gain + du * c.u_to_g + dv * c.v_to_g + (shift - 128.0f * (c.u_to_g + c.v_to_g)));
    int blue = rounded(luma * c.gain + du * c.u_to_b + (shift - 128.0f * c.u_to_b));
    to[0] = (Byte)(swap ? blue : red), to[1] = (Byte)green, to[2] = (Byte)(swap ? red : blue);
}

struct Weights { float y[4], u[4], v[4]; };  // of the three bytes of a pixel, and what is added

__device__ __forceinline__ int weighed(const Byte* pixel, const float* weights) {
    return rounded(pixel[0] * weights[0] + pixel[1] * weights[1] + pixel[2] * weights[2] + weights[3]);
}

extern "C" __global__ void from_packed(Address in, int row, Views v, Weights w) {  // a thread for 2x2 pixels
    HERE;
    int width = v.to[0].width, height = v.to[0].height, u = 0, t = 0;
    if (2 * x >= width || 2 * y >= height) return;
    for (int i = 0; i < 4; i++) {
        int px = 2 * x + (i & 1), py = 2 * y + (i >> 1);
        const Byte* pixel = (const Byte*)(in + (long long)min(py, height - 1) * row + 3ll * min(px, width - 1));
        if (px < width && py < height) store(v.to[0], px, py, weighed(pixel, w.y));
        u += weighed(pixel, w.u);
        t += weighed(pixel, w.v);
    }
    store(v.to[1], x, y, (u + 2) >> 2);
    store(v.to[2], x, y, (t + 2) >> 2);
}

extern "C" __global__ void packed_to_grey(Address in, int row, int swap, View to) {  // OpenCV's weights, in 1/32768
    HERE;
    if (x >= to.width || y >= to.height) return;
    const Byte* pixel = (const Byte*)(in + (long long)y * row + 3ll * x);
    store(to, x, y, (pixel[swap ? 2 : 0] * 9798 + pixel[1] * 19235 + pixel[swap ? 0 : 2] * 3735 + 16384) >> 15);
}

extern "C" __global__ void packed(Address in, int row, int step, int swap, Address out, int out_row, int width, int height) {
    HERE;  // three bytes from three, the other way round where `swap`; or from one (`step`) of grey
    if (x >= width || y >= height) return;
    const Byte* from = (const Byte*)(in + (long long)y * row + (long long)step * x);
    Byte* to = (Byte*)(out + (long long)y * out_row + 3ll * x);
    for (int i = 0; i < 3; i++) to[i] = from[step == 1 ? 0 : swap ? 2 - i : i];
}

extern "C" __global__ void stretched(View from, View to, float gain, float shift) {  // luma to grey and back
    HERE;
    if (x >= to.width || y >= to.height) return;
    store(to, x, y, rounded(level(from, x, y) * gain + shift));
}

extern "C" __global__ void weighted(Views v, float share) {  // blended over what is there
    HERE;
    const View &from = v.from[blockIdx.z], &to = v.to[blockIdx.z];
    if (x >= to.width || y >= to.height) return;
    store(to, x, y, rounded(level(to, x, y) * (1.0f - share) + level(from, x, y) * share));
}

// Areas that nobody may see: rows of each cell's columns, then cells, then the area built up of its cells. Blocks are
// counted by area and plane; `halves`: of the picture's pixels to one of its chroma.

typedef unsigned short Level;

struct Area {
    int x1, y1, x2, y2;     // pixels of the picture, even or its edge
    int columns, rows;      // cells
    int smooth, points;     // how it is built up; corners, 0: a box
    Address corners;        // of the polygon
    Address means[3];       // floats: rows of the area x columns, for each plane
    Address cells[3];       // levels: rows x columns
};

__device__ __forceinline__ View part(const View& v, const Area& a, int scale) {
    View out = v;
    int x1 = a.x1 / scale, y1 = a.y1 / scale;
    out.data += (long long)y1 * v.row + (long long)x1 * v.step;
    out.width = (a.x2 + scale - 1) / scale - x1;
    out.height = (a.y2 + scale - 1) / scale - y1;
    return out;
}

extern "C" __global__ void conceal_rows(Views v, const Area* areas, int halves, int planes) {
    HERE;
    const Area& a = areas[blockIdx.z / planes];
    int plane = blockIdx.z % planes;
    View from = part(v.to[plane], a, plane ? halves : 1);
    if (x >= a.columns || y >= from.height) return;
    ((float*)a.means[plane])[y * a.columns + x] = row_mean<true>(from, span(from.width, a.columns, x), y);
}

extern "C" __global__ void conceal_cells(Views v, const Area* areas, int halves, int planes) {
    HERE;
    const Area& a = areas[blockIdx.z / planes];
    int plane = blockIdx.z % planes;
    if (x >= a.columns || y >= a.rows) return;
    View from = part(v.to[plane], a, plane ? halves : 1);
    Span rows = span(from.height, a.rows, y);
    const float* means = (const float*)a.means[plane];
    float sum = 0.0f;
    for (int i = 0; i < rows.count; i++) sum += means[(rows.first + i) * a.columns + x] * share(rows, i);
    ((Level*)a.cells[plane])[y * a.columns + x] = (Level)rintf(fminf(sum, from.bytes == 1 ? 255.0f : 65535.0f));
}

struct Corner { float x, y; };

__device__ __forceinline__ bool touched(const Area& a, float px, float py) {  // by the polygon: inside, or near an edge
    const Corner* corners = (const Corner*)a.corners;
    bool inside = false;
    Corner p = corners[a.points - 1];
    for (int i = 0; i < a.points; i++) {
        Corner q = corners[i];
        if ((p.y <= py) != (q.y <= py) && p.x + (py - p.y) * (q.x - p.x) / (q.y - p.y) >= px) inside = !inside;
        float dx = q.x - p.x, dy = q.y - p.y, length = dx * dx + dy * dy;
        float along = length > 0.0f ? fminf(fmaxf(((px - p.x) * dx + (py - p.y) * dy) / length, 0.0f), 1.0f) : 0.0f;
        float ox = px - p.x - along * dx, oy = py - p.y - along * dy;
        if (ox * ox + oy * oy <= 2.0f * 2.0f) return true;  // all that OpenCV touches, and a little more
        p = q;
    }
    return inside;
}

extern "C" __global__ void conceal(Views v, const Area* areas, int halves, int planes) {
    HERE;
    const Area& a = areas[blockIdx.z / planes];
    int plane = blockIdx.z % planes;
    int scale = plane ? halves : 1;
    View to = part(v.to[plane], a, scale);
    if (x >= to.width || y >= to.height) return;
    if (a.points) {
        bool hidden = false;
        for (int i = 0; i < scale * scale; i++)
            hidden = hidden || touched(a, a.x1 + scale * x + i % scale + 0.5f, a.y1 + scale * y + i / scale + 0.5f);
        if (!hidden) return;
    }
    View cells = {a.cells[plane], 2 * a.columns, 2, 2, a.columns, a.rows, 0};
    if (a.smooth && to.bytes == 2) {
        store(to, x, y, bilinear_wide(cells, place(x, a.columns, to.width), place(y, a.rows, to.height)));
    } else if (a.smooth) {
        store(to, x, y, bilinear<true>(cells, way(x, a.columns, to.width), way(y, a.rows, to.height)));
    } else {
        int column = min((int)floor(x * (1.0 / ((double)to.width / a.columns))), a.columns - 1);
        int row = min((int)floor(y * (1.0 / ((double)to.height / a.rows))), a.rows - 1);
        store(to, x, y, raw(cells, column, row));
    }
}
