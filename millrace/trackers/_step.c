/* One frame of one stream of a motion tracker: prediction, association in stages, correction, life cycle.

   The twin of step.py, which says what everything means; both give the same numbers, bit for bit: the same
   operations in the same order on float64, no fused multiply-add. The table of targets, the rules of the stages
   and the settings of life and motion are arrays that Python owns; their columns are named here and there alike. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { /* a target, step.py: the same names */
    POS = 0, VEL = 4, XX = 8, XV = 12, VV = 16, SAVED = 20, BOX = 40,
    SEEN = 44, CONF, ID, KIND, STATE, BORN, HITS, MISSES, SERIAL, EVIDENCE, COUNT, RING = 56, WIDTH = 80
};
enum { FILTER = 20, MARKS = 8, MARK = 3 }; /* numbers of a filter; ring of observations: time, x, y */
enum { /* a stage */
    S_STATES, S_RECENT, S_LOW, S_HIGH, S_LAST, S_BUFFER, S_GROWTH, S_BUFFER_MOST, S_IOU, S_SIZE, S_CONF, S_DIRECTION,
    S_FUSE, S_HEIGHT, S_MIN_IOU, S_MIN_SIZE, S_MIN_SCORE, S_MAHALANOBIS, S_GREEDY, S_CLASS, S_EXTRA, S_MIN_EXTRA = 22,
    STAGE = 24
};
enum { /* motion and life */
    L_ESTIMATOR, L_AXIS, L_Q_LOC, L_Q_VEL, L_R, L_Q_LOC_ABS, L_Q_SIZE_ABS, L_Q_VEL_ABS, L_R_ABS, L_FIRST_LOC, L_FIRST_VEL,
    L_CONF_NOISE, L_DAMPING, L_HOLD, L_REUPDATE, L_DELTA, L_NEW_CONF, L_NEW_IOU, L_MOST, L_HITS, L_PROBATION, L_EARLY,
    L_AGE, L_DUPLICATE, L_EVIDENCE, L_SETTLED, LIFE
};
enum { ACTIVE = 1, INACTIVE = 2, TENTATIVE = 4 };
enum { DET = 6 }; /* x1 y1 x2 y2 confidence kind */

static const double RATE = 30.0;
static const double SMALLEST = 1.0;
static const double TINY = 1e-12;
static const long LONGEST = 100; /* steps of a re-update */

static double most(double a, double b) { return a > b ? a : b; }
static double least(double a, double b) { return a < b ? a : b; }

/* ---- the filter of one target ------------------------------------------------------------------------------- */

static double side(const double *t, const double *life, int k) {
    double h = t[POS + 3];
    if (life[L_AXIS] > 0 && k % 2 == 0) h = t[POS + 2];
    return most(h, SMALLEST);
}

static void predict_one(double *t, const double *life, double seconds) {
    double sides[4], steps = seconds * RATE;
    if (life[L_ESTIMATOR] == 0) return;
    for (int k = 0; k < 4; k++) sides[k] = side(t, life, k);
    if (t[STATE] == INACTIVE) {
        if (life[L_HOLD] > 0) t[VEL + 2] = t[VEL + 3] = 0.0;
        if (life[L_DAMPING] > 0)
            for (int k = 0; k < 4; k++) t[VEL + k] = t[VEL + k] / (1.0 + life[L_DAMPING] * seconds);
    }
    for (int k = 0; k < 4; k++) {
        double loc = life[L_Q_LOC] * sides[k], vel = life[L_Q_VEL] * sides[k];
        double q = loc * loc + (k < 2 ? life[L_Q_LOC_ABS] : life[L_Q_SIZE_ABS]);
        double qv = vel * vel + life[L_Q_VEL_ABS];
        int still = k > 1 && life[L_ESTIMATOR] == 1; /* sides without velocity */
        if (still) {
            t[XX + k] += q * steps;
            continue;
        }
        t[POS + k] += t[VEL + k] * seconds;
        t[XX + k] += (2 * t[XV + k] + t[VV + k] * seconds) * seconds + q * steps;
        t[XV + k] += t[VV + k] * seconds;
        t[VV + k] += qv * steps;
    }
    t[POS + 2] = most(t[POS + 2], SMALLEST);
    t[POS + 3] = most(t[POS + 3], SMALLEST);
}

static double noise_of(const double *t, const double *life, int k, double confidence) {
    double r = life[L_R] * side(t, life, k);
    double noise = r * r + life[L_R_ABS];
    return noise * (1.0 + life[L_CONF_NOISE] * (1.0 - confidence));
}

static void centred(const double *box, double *out) {
    out[2] = box[2] - box[0];
    out[3] = box[3] - box[1];
    out[0] = box[0] + out[2] * 0.5;
    out[1] = box[1] + out[3] * 0.5;
}

static void update_one(double *t, const double *life, const double *box, double confidence) {
    double seen[4], noise[4];
    centred(box, seen);
    if (life[L_ESTIMATOR] == 0) {
        memcpy(t + POS, seen, sizeof seen);
        return;
    }
    for (int k = 0; k < 4; k++) noise[k] = noise_of(t, life, k, confidence);
    for (int k = 0; k < 4; k++) {
        double total = t[XX + k] + noise[k], gain = t[XX + k] / total, gain_velocity = t[XV + k] / total;
        double error = seen[k] - t[POS + k];
        t[POS + k] += gain * error;
        t[VEL + k] += gain_velocity * error;
        t[VV + k] -= gain_velocity * t[XV + k];
        t[XV + k] -= gain * t[XV + k];
        t[XX + k] -= gain * t[XX + k];
    }
}

static void begin(double *t, const double *life, const double *det, double now, double serial) {
    memset(t, 0, WIDTH * sizeof(double));
    centred(det, t + POS);
    for (int k = 0; k < 4; k++) {
        double loc = life[L_FIRST_LOC] * side(t, life, k), vel = life[L_FIRST_VEL] * side(t, life, k);
        t[XX + k] = loc * loc + life[L_R_ABS];
        t[VV + k] = vel * vel + life[L_Q_VEL_ABS] * (RATE * RATE);
    }
    t[STATE] = TENTATIVE;
    t[BORN] = now;
    t[SERIAL] = serial;
}

static void observe(double *t, const double *det, double now) {
    double centre[4];
    memcpy(t + SAVED, t + POS, FILTER * sizeof(double));
    memcpy(t + BOX, det, 4 * sizeof(double));
    t[SEEN] = now;
    t[CONF] = det[4];
    t[KIND] = det[5];
    t[HITS] += 1;
    t[EVIDENCE] += det[4];
    t[MISSES] = 0;
    centred(det, centre);
    double *mark = t + RING + MARK * ((long)t[COUNT] % MARKS);
    mark[0] = now;
    mark[1] = centre[0];
    mark[2] = centre[1];
    t[COUNT] += 1;
}

static void correct(double *t, const double *life, const double *det, double now) {
    if (life[L_REUPDATE] > 0 && t[MISSES] > 0 && life[L_ESTIMATOR] != 0) {
        long steps = (long)least(t[MISSES], (double)LONGEST) + 1;
        double seconds = (now - t[SEEN]) / (double)steps;
        memcpy(t + POS, t + SAVED, FILTER * sizeof(double));
        for (long s = 1; s <= steps; s++) {
            double box[4], share = (double)s / (double)steps;
            for (int k = 0; k < 4; k++) box[k] = t[BOX + k] + (det[k] - t[BOX + k]) * share;
            predict_one(t, life, seconds);
            update_one(t, life, box, det[4]);
        }
    } else {
        update_one(t, life, det, det[4]);
    }
    observe(t, det, now);
}

/* ---- likeness of a target and a detection ---------------------------------------------------------------------- */

typedef struct {
    double box[4];    /* with its buffer */
    double area, w, h;
    double mark[2], way[2]; /* the observation a moment ago, and the way from there */
    int moves;
} Side;

static void corners(const double *position, double *box) {
    double w = position[2] * 0.5, h = position[3] * 0.5;
    box[0] = position[0] - w;
    box[1] = position[1] - h;
    box[2] = position[0] + w;
    box[3] = position[1] + h;
}

static void widen(Side *s, const double *box, double buffer) {
    s->w = box[2] - box[0];
    s->h = box[3] - box[1];
    s->box[0] = box[0] - buffer * s->w;
    s->box[1] = box[1] - buffer * s->h;
    s->box[2] = box[2] + buffer * s->w;
    s->box[3] = box[3] + buffer * s->h;
    s->area = most(s->box[2] - s->box[0], 0) * most(s->box[3] - s->box[1], 0);
}

static double buffer_of(const double *t, const double *stage, double now) {
    return least(stage[S_BUFFER] + stage[S_GROWTH] * (now - t[SEEN]), most(stage[S_BUFFER_MOST], stage[S_BUFFER]));
}

static void way_of(Side *s, const double *t, double now, double delta) {
    long count = (long)t[COUNT], kept = count < MARKS ? count : MARKS;
    const double *chosen = NULL, *last = t + RING + MARK * ((count - 1) % MARKS);
    s->moves = 0;
    for (long back = 2; back <= kept; back++) {
        chosen = t + RING + MARK * ((count - back) % MARKS);
        if (now - chosen[0] >= delta) break;
    }
    if (!chosen) return;
    double x = last[1] - chosen[1], y = last[2] - chosen[2], length = sqrt(x * x + y * y);
    if (length < TINY) return;
    s->mark[0] = chosen[1];
    s->mark[1] = chosen[2];
    s->way[0] = x / length;
    s->way[1] = y / length;
    s->moves = 1;
}

/* the arc cosine to 7e-5: Abramowitz and Stegun, Handbook of Mathematical Functions, 4.4.45 */
static double arc_cosine(double x) {
    double a = fabs(x);
    double r = sqrt(1.0 - a) * (1.5707288 + a * (-0.2121144 + a * (0.0742610 + a * -0.0187293)));
    return x < 0 ? 3.141592653589793 - r : r;
}

static double direction(const Side *s, const double *centre) {
    double x = centre[0] - s->mark[0], y = centre[1] - s->mark[1], length = sqrt(x * x + y * y);
    if (!s->moves || length < TINY) return 0.0;
    double c = (x / length) * s->way[0] + (y / length) * s->way[1];
    c = most(least(c, 1.0), -1.0);
    return 0.5 - arc_cosine(c) / 3.141592653589793;
}

static double overlap(const Side *a, const Side *b) {
    double w = most(least(a->box[2], b->box[2]) - most(a->box[0], b->box[0]), 0);
    double h = most(least(a->box[3], b->box[3]) - most(a->box[1], b->box[1]), 0);
    double inter = w * h;
    return inter / most(a->area + b->area - inter, TINY);
}

static double ratio(double a, double b) { return least(a, b) / most(most(a, b), TINY); }

static double far(const double *t, const double *life, const double *det) {
    double seen[4], sum = 0;
    centred(det, seen);
    for (int k = 0; k < 4; k++) {
        double error = seen[k] - t[POS + k];
        sum += error * error / (t[XX + k] + noise_of(t, life, k, 1.0));
    }
    return sum;
}

/* the score of a pair, or -1 where it is not allowed */
static double likeness(const Side *a, const Side *b, const double *t, const double *det, const double *stage,
                       const double *life, const double *extra, Py_ssize_t layer) {
    double iou = overlap(a, b);
    if (!(iou > 0)) return -1.0;
    if (stage[S_HEIGHT] > 0) {
        double h = most(least(a->box[3], b->box[3]) - most(a->box[1], b->box[1]), 0);
        iou = iou * (h / most(most(a->box[3], b->box[3]) - least(a->box[1], b->box[1]), TINY));
    }
    if (t[KIND] != det[5]) iou = iou - stage[S_CLASS];
    double size = ratio(a->w, b->w) * ratio(a->h, b->h);
    if (!(iou >= stage[S_MIN_IOU]) || !(iou > 0) || !(size >= stage[S_MIN_SIZE])) return -1.0;
    if (stage[S_MAHALANOBIS] >= 0 && far(t, life, det) > stage[S_MAHALANOBIS]) return -1.0;
    double score = stage[S_IOU] * iou + stage[S_SIZE] * size;
    score = score + stage[S_CONF] * (1.0 - fabs(t[CONF] - det[4]));
    if (stage[S_DIRECTION] > 0) {
        double centre[4];
        centred(det, centre);
        score = score + stage[S_DIRECTION] * direction(a, centre) * det[4];
    }
    for (int k = 0; k < 2 && extra; k++) {
        double value = extra[k * layer];
        if (!(value >= stage[S_MIN_EXTRA + k])) return -1.0;
        score = score + stage[S_EXTRA + k] * value;
    }
    if (stage[S_FUSE] > 0) score = score * det[4];
    return score > stage[S_MIN_SCORE] ? score : -1.0;
}

/* ---- assignment -------------------------------------------------------------------------------------------------- */

typedef struct {
    double score;
    int row, column;
} Pair;

typedef struct { /* scratch, for one call */
    double *score;                                 /* [n, m], -1: not allowed */
    double *price, *distance, *paid;               /* columns, columns, rows */
    int *row_of, *column_of, *before, *seen;       /* columns, rows, columns, columns */
    int *rows, *columns;                           /* who takes part */
    Side *targets, *found;
    Pair *pairs;                                   /* n m: candidates, best first */
    unsigned char *touched, *gone;
} Scratch;

/* matching.shortest_paths: every row in turn takes the cheapest alternating path. The cost of a pair is floor - score,
   that of leaving a row alone 0. */
static void optimal(Scratch *w, int n, int m, double floor) {
    for (int j = 0; j < m; j++) w->price[j] = 0, w->row_of[j] = -1;
    for (int i = 0; i < n; i++) w->column_of[i] = -1, w->paid[i] = 0;
    for (int start = 0; start < n; start++) {
        double alone = INFINITY, shift = 0, total;
        int loser = start, row = start, end;
        for (int j = 0; j < m; j++) w->distance[j] = INFINITY, w->seen[j] = 0;
        for (;;) {
            if (shift < alone) alone = shift, loser = row;
            const double *score = w->score + (Py_ssize_t)row * m;
            double nearest = INFINITY;
            end = -1;
            for (int j = 0; j < m; j++) {
                if (w->seen[j]) continue;
                if (score[j] > floor) {
                    double length = shift + (floor - score[j]) - w->price[j];
                    if (length < w->distance[j]) w->distance[j] = length, w->before[j] = row;
                }
                if (w->distance[j] < nearest) nearest = w->distance[j], end = j;
            }
            if (end < 0 || nearest >= alone) {
                total = alone;
                end = w->column_of[loser];
                w->column_of[loser] = -1;
                break;
            }
            total = nearest;
            row = w->row_of[end];
            if (row < 0) break;
            w->seen[end] = 1;
            shift = total - (w->paid[row] - w->price[end]);
        }
        for (int j = 0; j < m; j++)
            if (w->seen[j]) w->price[j] += w->distance[j] - total;
        while (end >= 0) {
            int by = w->before[end], previous = w->column_of[by];
            w->row_of[end] = by;
            w->column_of[by] = end;
            w->paid[by] = floor - w->score[(Py_ssize_t)by * m + end];
            end = by != start ? previous : -1;
        }
    }
}

static int better(const void *a, const void *b) { /* the first row, then the first column, where scores are equal */
    const Pair *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->row != y->row ? (x->row > y->row) - (x->row < y->row) : (x->column > y->column) - (x->column < y->column);
}

/* the best pair of all, then the best of the rest, … */
static void greedy(Scratch *w, int n, int m, double floor) {
    int count = 0;
    for (int j = 0; j < m; j++) w->row_of[j] = -1;
    for (int i = 0; i < n; i++) {
        w->column_of[i] = -1;
        for (int j = 0; j < m; j++) {
            double score = w->score[(Py_ssize_t)i * m + j];
            if (score > floor) w->pairs[count++] = (Pair){score, i, j};
        }
    }
    qsort(w->pairs, (size_t)count, sizeof(Pair), better);
    for (int k = 0; k < count; k++) {
        int row = w->pairs[k].row, column = w->pairs[k].column;
        if (w->column_of[row] >= 0 || w->row_of[column] >= 0) continue;
        w->column_of[row] = column;
        w->row_of[column] = row;
    }
}

/* whether every row and every column has one candidate at most: then all pairs are taken, as is usual */
static int nobody_competes(Scratch *w, int n, int m, double floor) {
    for (int j = 0; j < m; j++) w->row_of[j] = -1;
    for (int i = 0; i < n; i++) {
        w->column_of[i] = -1;
        for (int j = 0; j < m; j++)
            if (w->score[(Py_ssize_t)i * m + j] > floor) {
                if (w->column_of[i] >= 0 || w->row_of[j] >= 0) return 0;
                w->column_of[i] = j;
                w->row_of[j] = i;
            }
    }
    return 1;
}

static void stage_of(Scratch *w, double *table, int n, const double *dets, int m, const double *stage,
                     const double *life, double now, int *match, const double *extras, int n_all, int m_all) {
    int rows = 0, columns = 0;
    for (int i = 0; i < n; i++) {
        const double *t = table + (Py_ssize_t)i * WIDTH;
        if (!w->touched[i] && ((int)t[STATE] & (int)stage[S_STATES]) && !(stage[S_RECENT] > 0 && t[MISSES] > 0))
            w->rows[rows++] = i;
    }
    for (int j = 0; j < m; j++)
        if (match[j] < 0 && dets[j * DET + 4] >= stage[S_LOW] && dets[j * DET + 4] < stage[S_HIGH]) w->columns[columns++] = j;
    if (!rows || !columns) return;
    for (int a = 0; a < rows; a++) {
        const double *t = table + (Py_ssize_t)w->rows[a] * WIDTH;
        double box[4];
        if (stage[S_LAST] > 0) memcpy(box, t + BOX, sizeof box);
        else corners(t + POS, box);
        widen(w->targets + a, box, buffer_of(t, stage, now));
        if (stage[S_DIRECTION] > 0) way_of(w->targets + a, t, now, life[L_DELTA]);
    }
    for (int b = 0; b < columns; b++) widen(w->found + b, dets + w->columns[b] * DET, stage[S_BUFFER]);
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < columns; b++) {
            int i = w->rows[a], j = w->columns[b];
            const double *extra = extras ? extras + (Py_ssize_t)i * m_all + j : NULL, *x = w->targets[a].box,
                         *y = w->found[b].box;
            w->score[(Py_ssize_t)a * columns + b] = -1.0;
            if (x[0] >= y[2] || y[0] >= x[2] || x[1] >= y[3] || y[1] >= x[3]) continue; /* nearly all */
            w->score[(Py_ssize_t)a * columns + b] =
                likeness(w->targets + a, w->found + b, table + (Py_ssize_t)i * WIDTH, dets + j * DET, stage, life, extra,
                         (Py_ssize_t)n_all * m_all);
        }
    double floor = most(stage[S_MIN_SCORE], -1.0);
    if (!nobody_competes(w, rows, columns, floor)) {
        if (stage[S_GREEDY] > 0) greedy(w, rows, columns, floor);
        else optimal(w, rows, columns, floor);
    }
    for (int a = 0; a < rows; a++)
        if (w->column_of[a] >= 0) {
            match[w->columns[w->column_of[a]]] = w->rows[a];
            w->touched[w->rows[a]] = 1;
        }
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static double plain_iou(const double *a, const double *b) {
    Side x, y;
    widen(&x, a, 0.0);
    widen(&y, b, 0.0);
    return overlap(&x, &y);
}

/* ACTIVE where it has been seen often and long enough */
static void grow_up(double *t, const double *life, double now, int first, int *activated) {
    if (t[STATE] == TENTATIVE &&
        (first || (t[HITS] >= life[L_HITS] &&
                   (t[EVIDENCE] >= life[L_EVIDENCE] || now - t[BORN] >= life[L_SETTLED] - 1e-6) && now - t[BORN] >= life[L_PROBATION] - 1e-6))) {
        t[STATE] = ACTIVE;
        *activated += 1;
    } else if (t[STATE] == INACTIVE) {
        t[STATE] = ACTIVE;
    }
}

static void age(Scratch *w, double *table, int n, const double *life, double now) {
    for (int i = 0; i < n; i++) {
        double *t = table + (Py_ssize_t)i * WIDTH;
        w->gone[i] = 0;
        if (w->touched[i]) continue;
        t[MISSES] += 1;
        if (t[STATE] == TENTATIVE) w->gone[i] = t[MISSES] >= life[L_EARLY];
        else t[STATE] = INACTIVE;
        if (now - t[SEEN] > life[L_AGE] + 1e-6) w->gone[i] = 1;
    }
    if (life[L_DUPLICATE] >= 1.0) return;
    for (int i = 0; i < n; i++) { /* a shadow upon a target that is seen: the younger goes */
        double *t = table + (Py_ssize_t)i * WIDTH, box[4], other[4];
        if (t[STATE] != INACTIVE || w->gone[i]) continue;
        corners(t + POS, box);
        for (int k = 0; k < n; k++) {
            double *o = table + (Py_ssize_t)k * WIDTH;
            if (!w->touched[k] || o[STATE] != ACTIVE || w->gone[k]) continue;
            corners(o + POS, other);
            if (plain_iou(box, other) > life[L_DUPLICATE] && t[SEEN] - t[BORN] <= o[SEEN] - o[BORN]) {
                w->gone[i] = 1;
                break;
            }
        }
    }
}

static int is_apart(const double *table, int n, const double *det, double most_iou) {
    double box[4];
    if (most_iou >= 1.0) return 1;
    for (int i = 0; i < n; i++) {
        corners(table + (Py_ssize_t)i * WIDTH + POS, box);
        if (plain_iou(box, det) > most_iou) return 0;
    }
    return 1;
}

/* ---- the door to Python ---------------------------------------------------------------------------------------------- */

static int doubles(PyObject *object, Py_buffer *view, Py_ssize_t count, int writable, const char *name) {
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, view, flags) < 0) return -1;
    if (view->itemsize != 8 || !view->format || strcmp(view->format, "d") || view->len < count * 8) {
        PyErr_Format(PyExc_ValueError, "%s: float64, contiguous, at least %zd numbers", name, count);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

static int scratch_for(Scratch *w, int n, int m) {
    Py_ssize_t rows = n + 1, columns = m + 1;
    size_t size = (size_t)(rows * columns + 2 * columns + rows) * sizeof(double) +
                  (size_t)(rows + columns) * sizeof(Side) + (size_t)(rows * columns) * sizeof(Pair) + (size_t)(4 * columns + 2 * rows) * sizeof(int) +
                  (size_t)(2 * rows);
    char *at = malloc(size);
    if (!at) return -1;
    w->score = (double *)at;
    w->price = w->score + rows * columns;
    w->distance = w->price + columns;
    w->paid = w->distance + columns;
    w->targets = (Side *)(w->paid + rows);
    w->found = w->targets + rows;
    w->pairs = (Pair *)(w->found + columns);
    w->row_of = (int *)(w->pairs + rows * columns);
    w->before = w->row_of + columns;
    w->seen = w->before + columns;
    w->columns = w->seen + columns;
    w->column_of = w->columns + columns;
    w->rows = w->column_of + rows;
    w->touched = (unsigned char *)(w->rows + rows);
    w->gone = w->touched + rows;
    memset(w->touched, 0, (size_t)(2 * rows));
    return 0;
}

typedef struct {
    int n, gone, activated;
    double serial;
} Outcome;

static Outcome associate(Scratch *w, double *table, int n, const double *dets, int m, const double *stages, int count,
                         const double *life, double now, int first, double serial, int *match, double *gone,
                         const double *extras) {
    Outcome out = {n, 0, 0, serial};
    for (int j = 0; j < m; j++) match[j] = -1;
    for (int s = 0; s < count; s++)
        stage_of(w, table, n, dets, m, stages + s * STAGE, life, now, match, extras, n, m);
    for (int j = 0; j < m; j++)
        if (match[j] >= 0) {
            double *t = table + (Py_ssize_t)match[j] * WIDTH;
            correct(t, life, dets + j * DET, now);
            grow_up(t, life, now, 0, &out.activated);
        }
    age(w, table, n, life, now);
    int kept = 0;
    for (int i = 0; i < n; i++) { /* close the gaps; w->rows: old row → new */
        double *t = table + (Py_ssize_t)i * WIDTH;
        if (w->gone[i]) {
            memcpy(gone + (Py_ssize_t)out.gone++ * WIDTH, t, WIDTH * sizeof(double));
            w->rows[i] = -1;
            continue;
        }
        if (kept != i) memcpy(table + (Py_ssize_t)kept * WIDTH, t, WIDTH * sizeof(double));
        w->rows[i] = kept++;
    }
    for (int j = 0; j < m; j++)
        if (match[j] >= 0) match[j] = w->rows[match[j]];
    int old = kept;
    for (int j = 0; j < m; j++) {
        const double *det = dets + j * DET;
        if (match[j] >= 0 || !(det[4] >= life[L_NEW_CONF]) || kept >= life[L_MOST]) continue;
        if (!is_apart(table, old, det, life[L_NEW_IOU])) continue;
        double *t = table + (Py_ssize_t)kept * WIDTH;
        begin(t, life, det, now, out.serial);
        observe(t, det, now);
        grow_up(t, life, now, first, &out.activated);
        match[j] = kept++;
        out.serial += 1;
    }
    out.n = kept;
    return out;
}

static PyObject *step(PyObject *self, PyObject *args) {
    PyObject *table_, *dets_, *stages_, *life_, *match_, *gone_, *extras_;
    int n, m, first;
    double now, serial;
    if (!PyArg_ParseTuple(args, "OiOiOOdpdOOO", &table_, &n, &dets_, &m, &stages_, &life_, &now, &first, &serial, &match_,
                          &gone_, &extras_))
        return NULL;
    Py_buffer table, dets, stages, life, match, gone, extras;
    PyObject *result = NULL;
    Scratch work = {0};
    if (n < 0 || m < 0 || n > 1000000 || m > 1000000) return PyErr_Format(PyExc_ValueError, "step: n, m out of range");
    if (doubles(table_, &table, (Py_ssize_t)(n + m) * WIDTH, 1, "table") < 0) return NULL;
    if (doubles(dets_, &dets, (Py_ssize_t)m * DET, 0, "detections") < 0) goto no_dets;
    if (doubles(stages_, &stages, STAGE, 0, "stages") < 0) goto no_stages;
    if (doubles(life_, &life, LIFE, 0, "life") < 0) goto no_life;
    if (doubles(gone_, &gone, (Py_ssize_t)n * WIDTH, 1, "gone") < 0) goto no_gone;
    if (PyObject_GetBuffer(match_, &match, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0) goto no_match;
    if (match.itemsize != sizeof(int) || match.len < (Py_ssize_t)m * (Py_ssize_t)sizeof(int)) {
        PyErr_SetString(PyExc_ValueError, "match: int32, contiguous, a number for every detection");
        goto no_extras;
    }
    if (extras_ != Py_None && doubles(extras_, &extras, (Py_ssize_t)2 * n * m, 0, "extras") < 0) goto no_extras;
    if (scratch_for(&work, n, m) < 0) {
        PyErr_NoMemory();
    } else {
        Outcome out;
        int count = (int)(stages.len / (STAGE * 8));
        PyThreadState *outside = (Py_ssize_t)n * m > 4096 ? PyEval_SaveThread() : NULL; /* below it costs more than it gives */
        out = associate(&work, table.buf, n, dets.buf, m, stages.buf, count, life.buf, now, first, serial, match.buf, gone.buf,
                        extras_ != Py_None ? extras.buf : NULL);
        if (outside) PyEval_RestoreThread(outside);
        free(work.score);
        result = Py_BuildValue("iiid", out.n, out.gone, out.activated, out.serial);
    }
    if (extras_ != Py_None) PyBuffer_Release(&extras);
no_extras:
    PyBuffer_Release(&match);
no_match:
    PyBuffer_Release(&gone);
no_gone:
    PyBuffer_Release(&life);
no_life:
    PyBuffer_Release(&stages);
no_stages:
    PyBuffer_Release(&dets);
no_dets:
    PyBuffer_Release(&table);
    return result;
}

static PyObject *predict(PyObject *self, PyObject *args) {
    PyObject *table_, *life_;
    int n;
    double seconds;
    if (!PyArg_ParseTuple(args, "OiOd", &table_, &n, &life_, &seconds)) return NULL;
    Py_buffer table, life;
    if (n < 0 || doubles(table_, &table, (Py_ssize_t)n * WIDTH, 1, "table") < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "predict: n is below 0");
    if (doubles(life_, &life, LIFE, 0, "life") < 0) {
        PyBuffer_Release(&table);
        return NULL;
    }
    for (int i = 0; i < n; i++) predict_one((double *)table.buf + (Py_ssize_t)i * WIDTH, life.buf, seconds);
    PyBuffer_Release(&life);
    PyBuffer_Release(&table);
    Py_RETURN_NONE;
}

/* ---- objects of Python ------------------------------------------------------------------------------------------ */

enum { N_BOX, N_DETECTED, N_CONFIDENCE, N_CLASS, N_LABEL, N_STAGE, N_ID, N_TRACK, N_VELOCITY, N_AGE, NAMES };
static const char *const NAME_OF[NAMES] = {"box", "detected_box", "confidence", "class_id", "label", "stage", "id",
                                           "track_confidence", "velocity", "age"};
static PyObject *name[NAMES];

static int read_box(PyObject *box, double *out) {
    Py_buffer view;
    if (PyObject_GetBuffer(box, &view, PyBUF_STRIDES | PyBUF_FORMAT) < 0) return -1;
    int single = view.format && !strcmp(view.format, "f"), twice = view.format && !strcmp(view.format, "d");
    if (view.ndim != 1 || view.shape[0] != 4 || (!single && !twice)) {
        PyErr_SetString(PyExc_ValueError, "an object's box is four float32: x1 y1 x2 y2");
        PyBuffer_Release(&view);
        return -1;
    }
    for (int k = 0; k < 4; k++) {
        const char *at = (const char *)view.buf + k * view.strides[0];
        if (single) {
            float value;
            memcpy(&value, at, sizeof value);
            out[k] = value;
        } else {
            memcpy(out + k, at, sizeof(double));
        }
    }
    PyBuffer_Release(&view);
    return 0;
}

/* the number of (stage, class): what may never be the same thing has different ones */
static int kind_of(PyObject *object, PyObject *kinds, PyObject *known, double *out) {
    PyObject *class_id = PyObject_GetAttr(object, name[N_CLASS]), *stage = PyObject_GetAttr(object, name[N_STAGE]);
    PyObject *key = class_id && stage ? PyTuple_Pack(2, stage, class_id) : NULL, *found = NULL, *label = NULL, *entry = NULL;
    int result = -1;
    if (!key) goto done;
    found = PyDict_GetItemWithError(kinds, key);
    if (found) {
        Py_INCREF(found);
    } else {
        if (PyErr_Occurred()) goto done;
        label = PyObject_GetAttr(object, name[N_LABEL]);
        entry = label ? PyTuple_Pack(3, class_id, label, stage) : NULL;
        found = entry ? PyLong_FromSsize_t(PyList_Size(known)) : NULL;
        if (!found || PyList_Append(known, entry) < 0 || PyDict_SetItem(kinds, key, found) < 0) goto done;
    }
    *out = (double)PyLong_AsLong(found);
    result = PyErr_Occurred() ? -1 : 0;
done:
    Py_XDECREF(class_id);
    Py_XDECREF(stage);
    Py_XDECREF(key);
    Py_XDECREF(found);
    Py_XDECREF(label);
    Py_XDECREF(entry);
    return result;
}

static int read_object(PyObject *object, double *det, PyObject *kinds, PyObject *known) {
    PyObject *box = PyObject_GetAttr(object, name[N_BOX]);
    if (!box) return -1;
    int failed = read_box(box, det) < 0 || PyObject_SetAttr(object, name[N_DETECTED], box) < 0;
    Py_DECREF(box);
    if (failed) return -1;
    PyObject *confidence = PyObject_GetAttr(object, name[N_CONFIDENCE]);
    if (!confidence) return -1;
    det[4] = PyFloat_AsDouble(confidence);
    Py_DECREF(confidence);
    if (PyErr_Occurred()) return -1;
    double sum = det[0] + det[1] + det[2] + det[3];
    if (!isfinite(sum) || !(det[2] > det[0]) || !(det[3] > det[1]) || !isfinite(det[4])) det[4] = -1.0; /* no box */
    return kind_of(object, kinds, known, det + 5);
}

static PyObject *gather(PyObject *self, PyObject *args) {
    PyObject *objects, *dets_, *kinds, *known;
    if (!PyArg_ParseTuple(args, "O!OO!O!", &PyList_Type, &objects, &dets_, &PyDict_Type, &kinds, &PyList_Type, &known))
        return NULL;
    Py_ssize_t m = PyList_Size(objects);
    Py_buffer dets;
    if (doubles(dets_, &dets, m * DET, 1, "detections") < 0) return NULL;
    for (Py_ssize_t j = 0; j < m && j < PyList_Size(objects); j++)
        if (read_object(PyList_GetItem(objects, j), (double *)dets.buf + j * DET, kinds, known) < 0) {
            PyBuffer_Release(&dets);
            return NULL;
        }
    PyBuffer_Release(&dets);
    Py_RETURN_NONE;
}

static int set(PyObject *object, int which, PyObject *value) { /* takes the reference */
    if (!value) return -1;
    int result = PyObject_SetAttr(object, name[which], value);
    Py_DECREF(value);
    return result;
}

static void speed_of(const double *t, int filter, double *out) {
    out[0] = t[VEL];
    out[1] = t[VEL + 1];
    if (filter) return;
    out[0] = out[1] = 0.0;
    if (t[COUNT] < 1) return; /* the stream jumped, and it was not seen since */
    long count = (long)t[COUNT], kept = count < MARKS ? count : MARKS;
    const double *first = t + RING + MARK * ((count - kept) % MARKS), *last = t + RING + MARK * ((count - 1) % MARKS);
    double seconds = last[0] - first[0];
    for (int k = 0; k < 2 && seconds > 0; k++) out[k] = (last[1 + k] - first[1 + k]) / seconds;
}


/* the targets that were not detected in this frame and are shown all the same, a tuple each; arrays.py: unseen */
static PyObject *unseen(PyObject *self, PyObject *args) {
    PyObject *table_;
    int n, filter, unlooked;
    double now, coast, longest;
    if (!PyArg_ParseTuple(args, "Oiiddpd", &table_, &n, &filter, &now, &coast, &unlooked, &longest)) return NULL;
    Py_buffer table;
    if (n < 0 || doubles(table_, &table, (Py_ssize_t)n * WIDTH, 0, "table") < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "unseen: n is below 0");
    PyObject *out = PyList_New(0);
    for (int i = 0; out && i < n; i++) {
        const double *t = (const double *)table.buf + (Py_ssize_t)i * WIDTH;
        double since = now - t[SEEN], box[4], speed[2];
        if (!(t[ID] > 0) || !(t[MISSES] > 0 ? since <= coast : unlooked && since <= longest)) continue;
        corners(t + POS, box);
        speed_of(t, filter, speed);
        PyObject *one = Py_BuildValue("(Liddd(dd)(dddd))", (long long)t[ID], (int)t[KIND], t[CONF], since, now - t[BORN],
                                      speed[0], speed[1], box[0], box[1], box[2], box[3]);
        if (!one || PyList_Append(out, one) < 0) Py_CLEAR(out);
        Py_XDECREF(one);
    }
    PyBuffer_Release(&table);
    return out;
}

static int publish_one(PyObject *object, const double *t, PyObject *smooth, Py_ssize_t at, float *row, int filter, double now) {
    if (smooth) {
        double box[4];
        corners(t + POS, box);
        for (int k = 0; k < 4; k++) row[k] = (float)box[k];
        if (set(object, N_BOX, PySequence_GetItem(smooth, at)) < 0) return -1;
    }
    if (t[ID] > 0 && set(object, N_ID, PyLong_FromLongLong((long long)t[ID])) < 0) return -1;
    if (set(object, N_TRACK, PyFloat_FromDouble(t[CONF])) < 0) return -1;
    if (set(object, N_AGE, PyFloat_FromDouble(now - t[BORN])) < 0) return -1;
    if (t[HITS] < 2) return 0; /* seen once: nobody knows how it moves */
    double speed[2];
    speed_of(t, filter, speed);
    return set(object, N_VELOCITY, Py_BuildValue("dd", speed[0], speed[1]));
}

static PyObject *publish(PyObject *self, PyObject *args) {
    PyObject *objects, *match_, *table_, *smooth_;
    int n, filter;
    double now;
    if (!PyArg_ParseTuple(args, "O!OOiOid", &PyList_Type, &objects, &match_, &table_, &n, &smooth_, &filter, &now)) return NULL;
    Py_ssize_t m = PyList_Size(objects);
    PyObject *smooth = smooth_ == Py_None ? NULL : smooth_, *result = NULL;
    Py_buffer table, match, out;
    if (n < 0 || doubles(table_, &table, (Py_ssize_t)n * WIDTH, 0, "table") < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "publish: n is below 0");
    if (PyObject_GetBuffer(match_, &match, PyBUF_C_CONTIGUOUS) < 0) goto no_match;
    if (smooth && PyObject_GetBuffer(smooth, &out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0) goto no_out;
    if (match.itemsize != sizeof(int) || match.len < m * (Py_ssize_t)sizeof(int) ||
        (smooth && (out.itemsize != sizeof(float) || out.len < m * 4 * (Py_ssize_t)sizeof(float)))) {
        PyErr_SetString(PyExc_ValueError, "publish: match is int32 [m], boxes float32 [m, 4]");
    } else {
        Py_ssize_t j = 0;
        long found = 0;
        for (; j < m && j < PyList_Size(objects); j++) {
            int row = ((const int *)match.buf)[j];
            if (row < 0 || row >= n) continue;
            found++;
            float *box = smooth ? (float *)out.buf + j * 4 : NULL;
            if (publish_one(PyList_GetItem(objects, j), (const double *)table.buf + (Py_ssize_t)row * WIDTH, smooth, j, box, filter, now) < 0)
                break;
        }
        if (!PyErr_Occurred()) result = PyLong_FromLong(found);
    }
    if (smooth) PyBuffer_Release(&out);
no_out:
    PyBuffer_Release(&match);
no_match:
    PyBuffer_Release(&table);
    return result;
}

static PyMethodDef METHODS[] = {
    {"gather", gather, METH_VARARGS, "gather(objects, detections, kinds, known): read objects."},
    {"publish", publish, METH_VARARGS, "publish(objects, match, table, n, boxes, filter, now): write what is known to objects; how many have a target."},
    {"unseen", unseen, METH_VARARGS, "unseen(table, n, filter, now, coast, unlooked, longest): targets to be shown."},
    {"predict", predict, METH_VARARGS, "predict(table, n, life, seconds): move n targets on."},
    {"step", step, METH_VARARGS,
     "step(table, n, detections, m, stages, life, now, first, serial, match, gone, extras) -> (n, gone, activated, serial)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_step", "The frame step of motion trackers.", 0, METHODS,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__step(void) {
    for (int k = 0; k < NAMES; k++)
        if (!name[k] && !(name[k] = PyUnicode_InternFromString(NAME_OF[k]))) return NULL;
    return PyModule_Create(&MODULE);
}
