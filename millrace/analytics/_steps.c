/* What analytics does for every object of every frame, while nothing happens: paths.py, lines.py and zones.py in C, to
the bit. What may become an event, or asks for arithmetic that only Python has (its hypot), is left to Python.

What is remembered of an identity (analytics/states.py) stands in structs here, which Python sees as objects. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

/* The constants of paths.py and sightings.py. */
#define GAIN 0.12
#define FIRST 4
#define SETTLE 500000000LL
#define STEADY 0.01
#define HIGH 8
#define JUMP 0.5
#define MEMORY 60000000000LL
#define SURE 3.0

#define FOREVER (1LL << 61) /* times beyond have differences that 64 bits do not hold (73 years in ns) */

enum { RULES = 64 }; /* of a stream */

static PyObject *s_id, *s_box, *s_detected_box, *s_label, *s_class_id, *s_extras, *s_analytics, *s_zones, *s_tolist,
    *s_states, *s_inner, *s_shape, *s_purged, *s_oldest, *s_patience;

static PyTypeObject *course_type, *side_type, *visit_type;

typedef struct {
    PyObject_HEAD
    long long first_pts, last_pts, held, residuals, number;
    double first_x, first_y, last_x, last_y, noise, x, y, vx, vy, share;
} Course;

typedef struct {
    PyObject_HEAD
    PyObject *label;
    long long seen;
    double x, y, distance, height, home_x, home_y, home_distance, strayed;
    char home, through, went_in, went_out, told;
} Side;

typedef struct {
    PyObject_HEAD
    PyObject *label;
    long long seen, since;
    double x, y;
    char inside, counted;
} Visit;

/* One sighting. Made of an Object, `found`, it owns key, label and sighting; made of a Sighting it owns nothing. */
typedef struct {
    PyObject *found, *key, *label, *sighting;
    double x1, y1, x2, y2, doubt;
    unsigned long long inside; /* of which rules it marks the zone */
} Foot;

typedef struct {
    double bottom, x, y; /* bottom: the middle of the lower side; else shares of width and height */
} Anchor;

static void point_of(const Foot *foot, const Anchor *anchor, double *x, double *y)
{
    if (anchor->bottom != 0) {
        *x = (foot->x1 + foot->x2) / 2;
        *y = foot->y2;
    } else {
        *x = foot->x1 + (foot->x2 - foot->x1) * anchor->x;
        *y = foot->y1 + (foot->y2 - foot->y1) * anchor->y;
    }
}

/* Sighting.least */
static double least_of(const Foot *foot, double margin)
{
    double least = margin * (foot->y2 - foot->y1), sure = SURE * foot->doubt;
    return sure > least ? sure : least;
}

static int is_time(long long pts)
{
    if (pts > -FOREVER && pts < FOREVER)
        return 1;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_OverflowError, "pts %lld is no time in ns of a stream", pts);
    return 0;
}

static int get_time(PyObject *object, PyObject *name, long long *out)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return -1;
    *out = PyLong_AsLongLong(value);
    Py_DecRef(value);
    return is_time(*out) ? 0 : -1;
}

/* The same of a span, which may be longer than any stream. */
static int get_span(PyObject *object, PyObject *name, long long *out)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int overflow = 0;
    if (value == NULL)
        return -1;
    *out = PyLong_AsLongLongAndOverflow(value, &overflow);
    Py_DecRef(value);
    if (overflow > 0 || *out > FOREVER)
        *out = FOREVER;
    return PyErr_Occurred() ? -1 : 0;
}

/* A Sighting: (id, label, x1, y1, x2, y2, class_id, doubt, …). */
static int foot_of(PyObject *seen, Foot *out)
{
    double v[4];
    if (!PyTuple_Check(seen) || PyTuple_Size(seen) < 8) {
        PyErr_SetString(PyExc_TypeError, "a sighting is a tuple of id, label, x1, y1, x2, y2, class_id, doubt");
        return -1;
    }
    for (int k = 0; k < 4; k++)
        v[k] = PyFloat_AsDouble(PyTuple_GetItem(seen, 2 + k));
    *out = (Foot){NULL, PyTuple_GetItem(seen, 0), PyTuple_GetItem(seen, 1), seen, v[0], v[1], v[2], v[3],
                  PyFloat_AsDouble(PyTuple_GetItem(seen, 7)), 0};
    return PyErr_Occurred() ? -1 : 0;
}

/* Path._learn: 1 when it has jumped. */
static int learn(Course *course, double now_x, double now_y, double height, long long pts)
{
    long long step = course->last_pts - course->first_pts, since = pts - course->last_pts;
    if (step <= 0 || (since - 1) / 5 >= step) /* more than five steps */
        return 0;
    double k = (double)since / (double)step;
    double x = now_x - course->last_x - k * (course->last_x - course->first_x);
    double y = now_y - course->last_y - k * (course->last_y - course->first_y);
    double varies = 1 + pow(1 + k, 2.0) + k * k, far = x * x + y * y;
    if (far > pow(JUMP * height, 2.0) && far > 18 * varies * course->noise)
        return 1;
    double found = far / (2 * varies);
    course->residuals++;
    if (course->residuals <= FIRST) {
        course->noise += (found - course->noise) / (double)course->residuals;
    } else {
        double most = HIGH * course->noise + 1e-6;
        course->noise += GAIN * ((most < found ? most : found) - course->noise);
    }
    return 0;
}

/* Path._follow; `step` is the time since the last place, 0 where there is none. */
static void follow(Course *course, double now_x, double now_y, long long step)
{
    if (step <= 0) {
        course->x = now_x, course->y = now_y, course->vx = course->vy = 0.0, course->number = 1, course->share = 1.0;
        return;
    }
    course->number++;
    long long most = SETTLE / step > 4 ? SETTLE / step : 4, n = course->number < most ? course->number : most;
    double g = (double)(2 * (2 * n - 1)) / (double)(n * (n + 1)), h = 6.0 / (double)(n * (n + 1));
    course->share = course->number <= most ? g : (2 * g * g + h * (2 - 3 * g)) / (g * (4 - 2 * g - h));
    double turn = h / (double)step;
    double off_x = now_x - course->x - course->vx * (double)step, off_y = now_y - course->y - course->vy * (double)step;
    course->x = now_x - (1 - g) * off_x, course->y = now_y - (1 - g) * off_y;
    course->vx = course->vx + turn * off_x, course->vy = course->vy + turn * off_y;
}

/* Path.add, and the sighting moved to where it should be: 1 when it is, 0 when it stays, -1 on error. */
static int walk(Course *course, Foot *foot, long long pts, double *off_x, double *off_y)
{
    double x = (foot->x1 + foot->x2) / 2, y = foot->y2, height = foot->y2 - foot->y1;
    if (course->held > 0 && (!is_time(course->last_pts) || !is_time(course->first_pts)))
        return -1;
    if (course->held > 1 && learn(course, x, y, height, pts))
        course->held = 0;
    follow(course, x, y, course->held > 0 ? pts - course->last_pts : 0);
    course->first_pts = course->last_pts, course->first_x = course->last_x, course->first_y = course->last_y;
    course->last_pts = pts, course->last_x = x, course->last_y = y;
    course->held = course->held > 0 ? 2 : 1;
    foot->doubt = course->residuals >= FIRST ? sqrt(course->noise) : 0.0;
    if (!(foot->doubt > STEADY * height)) {
        foot->doubt = 0.0;
        return 0;
    }
    *off_x = course->x - x, *off_y = course->y - y;
    foot->doubt *= sqrt(course->share);
    foot->x1 += *off_x, foot->x2 += *off_x, foot->y1 += *off_y, foot->y2 += *off_y;
    return 1;
}

/* What is known of a key: a new reference, of `fresh()` where nothing is; NULL on error, or without `fresh`. */
static PyObject *known_of(PyObject *known, PyObject *key, PyTypeObject *type, PyObject *fresh)
{
    PyObject *state = PyDict_GetItemWithError(known, key);
    if (state != NULL) {
        Py_IncRef(state);
    } else {
        if (PyErr_Occurred() || fresh == NULL || (state = PyObject_CallNoArgs(fresh)) == NULL)
            return NULL;
        if (PyDict_SetItem(known, key, state) < 0) {
            Py_DecRef(state);
            return NULL;
        }
    }
    if (PyObject_TypeCheck(state, type))
        return state;
    PyErr_SetString(PyExc_TypeError, "what is remembered of an identity is a Course, a Side or a Visit");
    Py_DecRef(state);
    return NULL;
}

static PyObject *paths(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *known, *seen, *fresh, *shifted;
    long long pts;
    if (!PyArg_ParseTuple(args, "O!O!LOO:paths", &PyDict_Type, &known, &PyList_Type, &seen, &pts, &fresh, &shifted) ||
        !is_time(pts))
        return NULL;
    Py_ssize_t n = PyList_Size(seen);
    PyObject *out = PyList_New(n);
    for (Py_ssize_t k = 0; out != NULL && k < n; k++) {
        PyObject *found = PyList_GetItem(seen, k), *course, *after = NULL;
        Foot foot;
        double off_x = 0, off_y = 0;
        if (found == NULL || foot_of(found, &foot) < 0 ||
            (course = known_of(known, foot.key, course_type, fresh)) == NULL)
            goto failed;
        int moved = walk((Course *)course, &foot, pts, &off_x, &off_y);
        if (moved >= 0)
            after = moved ? PyObject_CallFunction(shifted, "Oddd", found, off_x, off_y, foot.doubt) : Py_NewRef(found);
        Py_DecRef(course);
        if (after == NULL || PyList_SetItem(out, k, after) < 0)
            goto failed;
    }
    return out;
failed:
    Py_XDECREF(out);
    return NULL;
}

/* A line or a zone as a step needs it: its shape, which LineCounter and ZoneCounter pack, and what it remembers. */
typedef struct {
    int zone;
    PyObject *states, *inner, *shape, *classes, *name; /* the last two are borrowed */
    Anchor anchor;
    double margin, line[5], inverse, bounds[4]; /* line: x1 y1 x2 y2 length */
    Py_ssize_t edges;
    const char *corners; /* x1 y1 x2 y2 of each edge */
    long long oldest, patience;
} Rule;

enum { HEAD = 4 * sizeof(double) }; /* anchor and margin come first */

static void drop(Rule *rule)
{
    Py_XDECREF(rule->states);
    Py_XDECREF(rule->inner);
    Py_XDECREF(rule->shape);
}

/* Read a counter; `drop` it in any case. */
static int rule_of(PyObject *counter, int zone, Rule *out)
{
    memset(out, 0, sizeof *out);
    out->zone = zone;
    out->states = PyObject_GetAttr(counter, s_states);
    out->shape = PyObject_GetAttr(counter, s_shape);
    if (out->states == NULL || out->shape == NULL)
        return -1;
    if (zone && ((out->inner = PyObject_GetAttr(counter, s_inner)) == NULL ||
                 get_time(counter, s_oldest, &out->oldest) < 0 || get_span(counter, s_patience, &out->patience) < 0))
        return -1;
    if (!zone && get_time(counter, s_purged, &out->oldest) < 0)
        return -1;
    const char *bytes = PyBytes_AsString(out->shape);
    if (bytes == NULL)
        return -1;
    Py_ssize_t size = PyBytes_Size(out->shape) - HEAD, own = zone ? 5 * sizeof(double) : sizeof out->line;
    if (!PyDict_Check(out->states) || (zone && !PyDict_Check(out->inner)) || size < own || (!zone && size != own) ||
        (size - own) % (4 * sizeof(double)) != 0) {
        PyErr_SetString(PyExc_TypeError, "a counter has dictionaries of states and a packed shape");
        return -1;
    }
    memcpy(&out->anchor, bytes, sizeof out->anchor);
    memcpy(&out->margin, bytes + sizeof out->anchor, sizeof out->margin);
    if (zone) {
        memcpy(&out->inverse, bytes + HEAD, sizeof out->inverse);
        memcpy(out->bounds, bytes + HEAD + sizeof(double), sizeof out->bounds);
        out->corners = bytes + HEAD + own;
        out->edges = (size - own) / (Py_ssize_t)(4 * sizeof(double));
    } else {
        memcpy(out->line, bytes + HEAD, sizeof out->line);
    }
    return 0;
}

/* 1 where it did not cross the line, nor begins to; 0: Python shall see to it, and nothing was changed. */
static int beside(const Rule *rule, Side *side, const Foot *foot, long long pts)
{
    const double *line = rule->line;
    double x, y, height = foot->y2 - foot->y1;
    point_of(foot, &rule->anchor, &x, &y);
    double along_x = line[2] - line[0], along_y = line[3] - line[1];
    double distance = (along_x * (y - line[1]) - along_y * (x - line[0])) / line[4];
    int right = distance > 0;
    if (right != (side->distance > 0))
        return 0;
    if (right == side->home) {
        side->home_x = x, side->home_y = y, side->home_distance = distance;
    } else if (fabs(distance) < least_of(foot, rule->margin)) { /* not past the margin */
        side->strayed = fabs(distance) > side->strayed ? fabs(distance) : side->strayed;
    } else {
        return 0;
    }
    side->x = x, side->y = y, side->distance = distance, side->height = height, side->seen = pts, side->told = 0;
    return 1;
}

static int contains(const Rule *rule, double x, double y)
{
    int there = 0;
    for (Py_ssize_t k = 0; k < rule->edges; k++) {
        double e[4];
        memcpy(e, rule->corners + k * (Py_ssize_t)sizeof e, sizeof e);
        if ((e[1] > y) != (e[3] > y) && x < e[0] + (e[2] - e[0]) * (y - e[1]) / (e[3] - e[1]))
            there = !there;
    }
    return there;
}

/* Whether a point is nearer to the boundary than `least`, for certain: not by rounding. */
static int near(const Rule *rule, double x, double y, double least)
{
    double nearest = INFINITY;
    for (Py_ssize_t k = 0; k < rule->edges; k++) {
        double e[4];
        memcpy(e, rule->corners + k * (Py_ssize_t)sizeof e, sizeof e);
        double along_x = e[2] - e[0], along_y = e[3] - e[1], length = along_x * along_x + along_y * along_y;
        double part = length > 0 ? ((x - e[0]) * along_x + (y - e[1]) * along_y) / length : 0.0;
        part = part < 0 ? 0 : part > 1 ? 1 : part;
        double off_x = x - e[0] - part * along_x, off_y = y - e[1] - part * along_y;
        double far = off_x * off_x + off_y * off_y;
        nearest = far < nearest ? far : nearest;
    }
    return sqrt(nearest) < least * (1 - 1e-9);
}

/* 1 where it stays inside or outside, under its label; 0 or -1: Python shall see to it, or an error. */
static int stays(const Rule *rule, Visit *visit, const Foot *foot, long long pts)
{
    double x, y;
    const double *bounds = rule->bounds;
    int inverse = rule->inverse != 0, there = 0;
    point_of(foot, &rule->anchor, &x, &y);
    if (inverse || visit->inside || (bounds[0] <= x && x <= bounds[2] && bounds[1] <= y && y <= bounds[3]))
        there = contains(rule, x, y);
    if ((there != inverse) != visit->inside && !near(rule, x, y, least_of(foot, rule->margin)))
        return 0;
    if (visit->label != foot->label) {
        int same = visit->label == NULL ? 0 : PyObject_RichCompareBool(visit->label, foot->label, Py_EQ);
        if (same < 0 || (!same && visit->inside)) /* those inside are counted by their labels */
            return same < 0 ? -1 : 0;
        PyObject *before = visit->label;
        visit->label = Py_NewRef(foot->label);
        Py_XDECREF(before);
    }
    visit->x = x, visit->y = y, visit->seen = pts;
    return 1;
}

/* 1, 0, or -1 on error: whether a sighting of the same identity is in `rest`. What comes after it in the frame must wait
for it: one identity may stand in a frame twice. As a rule `rest` is empty. */
static int waits(PyObject *rest, PyObject *key)
{
    for (Py_ssize_t k = 0; rest != NULL && k < PyList_Size(rest); k++) {
        int same = PyObject_RichCompareBool(PyTuple_GetItem(PyList_GetItem(rest, k), 0), key, Py_EQ);
        if (same != 0)
            return same;
    }
    return 0;
}

/* One sighting and one rule; 1 where nothing happens, 0 where Python shall see to it, -1 on error. `inside`: of a zone. */
static int quiet(const Rule *rule, const Foot *foot, PyObject *rest, long long pts, int *inside)
{
    PyObject *state = known_of(rule->states, foot->key, rule->zone ? visit_type : side_type, NULL);
    if (state == NULL)
        return PyErr_Occurred() ? -1 : 0;
    int answer = waits(rest, foot->key);
    if (answer != 0)
        answer = answer < 0 ? -1 : 0;
    else if (rule->zone)
        answer = stays(rule, (Visit *)state, foot, pts);
    else
        answer = beside(rule, (Side *)state, foot, pts);
    *inside = rule->zone && answer == 1 && ((Visit *)state)->inside;
    Py_DecRef(state);
    return answer;
}

/* line and zone: the sightings that their counters must look at. */
static PyObject *left(PyObject *args, int zone)
{
    PyObject *counter, *seen, *rest = NULL;
    long long pts;
    Rule rule;
    if (!PyArg_ParseTuple(args, "OO!L", &counter, &PyList_Type, &seen, &pts) || !is_time(pts))
        return NULL;
    if (rule_of(counter, zone, &rule) == 0)
        rest = PyList_New(0);
    for (Py_ssize_t k = 0; rest != NULL && k < PyList_Size(seen); k++) {
        Foot foot;
        int inside, answer = foot_of(PyList_GetItem(seen, k), &foot);
        if (answer == 0)
            answer = quiet(&rule, &foot, rest, pts, &inside);
        if (answer < 0 || (answer == 0 && PyList_Append(rest, foot.sighting) < 0))
            Py_CLEAR(rest);
    }
    drop(&rule);
    return rest;
}

static PyObject *line(PyObject *module, PyObject *args)
{
    (void)module;
    return left(args, 0);
}

static PyObject *zone(PyObject *module, PyObject *args)
{
    (void)module;
    return left(args, 1);
}

/* Four numbers of a box: a float32 array as a rule, else what has tolist(). */
static int corners_of(PyObject *box, Foot *foot)
{
    Py_buffer view;
    double v[4];
    int plain = 0;
    if (PyObject_GetBuffer(box, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0) {
        if (view.len == 4 * sizeof(float) && view.ndim == 1 && view.format != NULL && strcmp(view.format, "f") == 0) {
            float sides[4];
            memcpy(sides, view.buf, sizeof sides);
            for (int k = 0; k < 4; k++)
                v[k] = sides[k];
            plain = 1;
        }
        PyBuffer_Release(&view);
    } else {
        PyErr_Clear();
    }
    if (!plain) {
        PyObject *list = PyObject_CallMethodObjArgs(box, s_tolist, NULL);
        if (list == NULL)
            return -1;
        int size = PyList_Check(list) && PyList_Size(list) == 4;
        for (int k = 0; size && k < 4; k++)
            v[k] = PyFloat_AsDouble(PyList_GetItem(list, k));
        Py_DecRef(list);
        if (!size && !PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a box has four numbers");
        if (PyErr_Occurred())
            return -1;
    }
    foot->x1 = v[0], foot->y1 = v[1], foot->x2 = v[2], foot->y2 = v[3];
    return 0;
}

/* An Object as a sighting: 1, or 0 where it is none, -1 on error. */
static int foot_of_object(PyObject *found, int predicted, Foot *out)
{
    memset(out, 0, sizeof *out);
    PyObject *key = PyObject_GetAttr(found, s_id), *value;
    if (key == NULL)
        return -1;
    if (key == Py_None) {
        Py_DecRef(key);
        return 0;
    }
    out->key = key;
    if (!predicted) {
        if ((value = PyObject_GetAttr(found, s_detected_box)) == NULL)
            return -1;
        Py_DecRef(value);
        if (value == Py_None)
            return 0;
    }
    out->found = found; /* held by the list */
    if ((out->label = PyObject_GetAttr(found, s_label)) == NULL || (value = PyObject_GetAttr(found, s_box)) == NULL)
        return -1;
    int answer = corners_of(value, out);
    Py_DecRef(value);
    return answer < 0 ? -1 : 1;
}

static void let_go(Foot *foot)
{
    Py_XDECREF(foot->key);
    Py_XDECREF(foot->label);
    Py_XDECREF(foot->sighting);
}

/* The Sighting of a foot, borrowed; made when it is first asked for. `kind` is a tuple of nine. */
static PyObject *sighting_of(Foot *foot, PyTypeObject *kind)
{
    if (foot->sighting == NULL) {
        newfunc make = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
        PyObject *class_id = PyObject_GetAttr(foot->found, s_class_id), *plain = NULL;
        if (class_id != NULL)
            plain = Py_BuildValue("((OOddddOdO))", foot->key, foot->label, foot->x1, foot->y1, foot->x2, foot->y2,
                                  class_id, foot->doubt, foot->found);
        if (plain != NULL)
            foot->sighting = make(kind, plain, NULL);
        Py_XDECREF(class_id);
        Py_XDECREF(plain);
    }
    return foot->sighting;
}

/* Whether a rule is for an object by its classes: 1, 0, -1 on error. */
static int concerns(const Rule *rule, const Foot *foot)
{
    if (rule->classes == Py_None)
        return 1;
    int answer = PySequence_Contains(rule->classes, foot->label);
    if (answer == 0) {
        PyObject *class_id = PyObject_GetAttr(foot->found, s_class_id);
        answer = class_id == NULL ? -1 : PySequence_Contains(rule->classes, class_id);
        Py_XDECREF(class_id);
    }
    return answer;
}

/* Whether the time has come to forget some, or for some to have left unseen: 1, 0, -1 on error. */
static int due(const Rule *rule, long long pts)
{
    if (pts - rule->oldest > MEMORY)
        return 1;
    PyObject *key, *visit;
    Py_ssize_t at = 0;
    while (rule->zone && PyDict_Next(rule->inner, &at, &key, &visit)) {
        if (!PyObject_TypeCheck(visit, visit_type)) {
            PyErr_SetString(PyExc_TypeError, "inner holds Visits");
            return -1;
        }
        if (((Visit *)visit)->seen < pts - rule->patience)
            return 1;
    }
    return 0;
}

/* All feet past one rule; `rest` becomes a list of what Python shall look at, or stays NULL. 0, or -1 on error. */
static int look(const Rule *rule, int number, Foot *feet, Py_ssize_t n, long long pts, PyTypeObject *kind,
                PyObject **rest)
{
    for (Py_ssize_t k = 0; k < n; k++) {
        int inside = 0, answer = concerns(rule, &feet[k]);
        if (answer == 1) {
            answer = quiet(rule, &feet[k], *rest, pts, &inside);
            if (inside)
                feet[k].inside |= 1ULL << number;
            if (answer == 0) {
                if (*rest == NULL && (*rest = PyList_New(0)) == NULL)
                    return -1;
                PyObject *seen = sighting_of(&feet[k], kind);
                if (seen == NULL || PyList_Append(*rest, seen) < 0)
                    return -1;
            }
        }
        if (answer < 0)
            return -1;
    }
    int late = *rest == NULL ? due(rule, pts) : 0;
    if (late > 0)
        *rest = PyList_New(0);
    return late < 0 || (late > 0 && *rest == NULL) ? -1 : 0;
}

/* extras["analytics"] = {"zones": [names]} for one that is inside some. */
static int mark(const Foot *foot, const Rule *rules, int count)
{
    if (foot->inside == 0)
        return 0;
    PyObject *names = PyList_New(0), *said = PyDict_New(), *extras = PyObject_GetAttr(foot->found, s_extras);
    int bad = names == NULL || said == NULL || extras == NULL;
    for (int k = 0; k < count && !bad; k++)
        if (foot->inside & (1ULL << k))
            bad = PyList_Append(names, rules[k].name) < 0;
    bad = bad || PyDict_SetItem(said, s_zones, names) < 0 || PyObject_SetItem(extras, s_analytics, said) < 0;
    Py_XDECREF(names);
    Py_XDECREF(said);
    Py_XDECREF(extras);
    return bad ? -1 : 0;
}

/* ([all sightings], [what each rule must look at, or None]) */
static PyObject *told(Foot *feet, Py_ssize_t n, PyObject **rests, int count, PyTypeObject *kind)
{
    PyObject *seen = PyList_New(n), *lists = PyList_New(count), *out = NULL;
    int bad = seen == NULL || lists == NULL;
    for (Py_ssize_t k = 0; k < n && !bad; k++) {
        PyObject *one = sighting_of(&feet[k], kind);
        bad = one == NULL || PyList_SetItem(seen, k, Py_NewRef(one)) < 0;
    }
    for (int k = 0; k < count && !bad; k++) {
        bad = PyList_SetItem(lists, k, Py_NewRef(rests[k] == NULL ? Py_None : rests[k])) < 0;
    }
    if (!bad)
        out = PyTuple_Pack(2, seen, lists);
    Py_XDECREF(seen);
    Py_XDECREF(lists);
    return out;
}

/* The rules of `plan`, a list of (zone, counter, classes, name): how many were begun, `*bad` on error. */
static int rules_of(PyObject *plan, Rule *rules, int *bad)
{
    int count = 0;
    *bad = PyList_Size(plan) > RULES;
    if (*bad)
        PyErr_Format(PyExc_ValueError, "more than %d rules in one step", RULES);
    for (Py_ssize_t k = 0; !*bad && k < PyList_Size(plan); k++) {
        PyObject *each = PyList_GetItem(plan, k);
        *bad = !PyTuple_Check(each) || PyTuple_Size(each) != 4;
        if (*bad) {
            PyErr_SetString(PyExc_TypeError, "a plan has (zone, counter, classes, name)");
            break;
        }
        count++;
        *bad = rule_of(PyTuple_GetItem(each, 1), PyTuple_GetItem(each, 0) == Py_True, &rules[k]) < 0;
        rules[k].classes = PyTuple_GetItem(each, 2);
        rules[k].name = PyTuple_GetItem(each, 3);
    }
    return count;
}

static PyObject *frame(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *known, *fresh, *kind, *plan, *rests[RULES] = {NULL}, *out = NULL;
    long long pts;
    int predicted, whole, bad;
    Rule rules[RULES];
    if (!PyArg_ParseTuple(args, "OpLO!OO!O!p:frame", &given, &predicted, &pts, &PyDict_Type, &known,
                          &fresh, &PyType_Type, &kind, &PyList_Type, &plan, &whole) ||
        !is_time(pts))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)kind, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "frame: sightings are tuples");
        return NULL;
    }
    PyObject *objects = PySequence_List(given); /* our own, whatever code may run on the way */
    if (objects == NULL)
        return NULL;
    Py_ssize_t most = PyList_Size(objects), n = 0;
    Foot *feet = PyMem_Calloc((size_t)most + 1, sizeof *feet);
    if (feet == NULL) {
        Py_DecRef(objects);
        return PyErr_NoMemory();
    }
    int count = rules_of(plan, rules, &bad);
    for (Py_ssize_t k = 0; k < most && !bad; k++) {
        int answer = foot_of_object(PyList_GetItem(objects, k), predicted, &feet[n]);
        if (answer == 1) {
            PyObject *course = known_of(known, feet[n].key, course_type, fresh);
            double x, y;
            if (course == NULL || walk((Course *)course, &feet[n], pts, &x, &y) < 0)
                answer = -1;
            Py_XDECREF(course);
        }
        bad = answer < 0;
        if (answer == 0)
            let_go(&feet[n]);
        else
            n++;
    }
    for (int k = 0; k < count && !bad; k++) {
        bad = look(&rules[k], k, feet, n, pts, (PyTypeObject *)kind, &rests[k]) < 0;
        whole |= rests[k] != NULL;
    }
    for (Py_ssize_t k = 0; k < n && !bad && !whole; k++)
        bad = mark(&feet[k], rules, count) < 0;
    if (!bad)
        out = whole ? told(feet, n, rests, count, (PyTypeObject *)kind) : Py_NewRef(Py_None);
    for (Py_ssize_t k = 0; k < n; k++)
        let_go(&feet[k]);
    for (int k = 0; k < count; k++) {
        drop(&rules[k]);
        Py_XDECREF(rests[k]);
    }
    PyMem_Free(feet);
    Py_DecRef(objects);
    return out;
}

/* A value in which dictionaries are new, and all else is shared. */
static PyObject *anew(PyObject *value)
{
    if (!PyDict_CheckExact(value))
        return Py_NewRef(value);
    PyObject *out = PyDict_Copy(value), *key, *each;
    Py_ssize_t at = 0;
    while (out != NULL && PyDict_Next(value, &at, &key, &each)) {
        PyObject *copied = PyDict_CheckExact(each) ? anew(each) : NULL;
        if (copied != NULL ? PyDict_SetItem(out, key, copied) < 0 : PyErr_Occurred() != NULL)
            Py_CLEAR(out);
        Py_XDECREF(copied);
    }
    return out;
}

static PyObject *copies(PyObject *module, PyObject *list)
{
    (void)module;
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "copies: of a list");
        return NULL;
    }
    Py_ssize_t n = PyList_Size(list);
    PyObject *out = PyList_New(n);
    for (Py_ssize_t k = 0; out != NULL && k < n; k++) {
        PyObject *copied = anew(PyList_GetItem(list, k));
        if (copied == NULL || PyList_SetItem(out, k, copied) < 0)
            Py_CLEAR(out);
    }
    return out;
}

static PyMethodDef methods[] = {
    {"paths", paths, METH_VARARGS,
     "paths(known, seen, pts, fresh, shifted)\n\nPaths.update without places: the sightings after it. fresh() makes a "
     "path, shifted(found, x, y, doubt) moves a sighting."},
    {"line", line, METH_VARARGS,
     "line(counter, seen, pts)\n\nThe sightings that are new, or change sides: LineCounter does those."},
    {"zone", zone, METH_VARARGS,
     "zone(counter, seen, pts)\n\nThe sightings that are new, or may come or go: ZoneCounter does those."},
    {"frame", frame, METH_VARARGS,
     "frame(objects, predicted, pts, known, fresh, sighting, plan, whole)\n\nSightings, paths and all the rules of a "
     "stream at once. `plan` is a list of (zone, counter, classes, name): zone is True or False, classes a set or None. "
     "None when nothing happens to any of them (those in zones are marked then), else, and with `whole`: the "
     "sightings, and for each rule a list of those that it must look at, or None."},
    {"copies", copies, METH_O, "copies(list)\n\nThe list, with dictionaries of its own within it, and within those."},
    {NULL, NULL, 0, NULL},
};

/* The structs as types: all fields stand open to Python, and are 0, False or None at first. */

#define FIELD(type, kind, name) {#name, kind, offsetof(type, name), 0, NULL}

static PyMemberDef course_fields[] = {
    FIELD(Course, T_LONGLONG, first_pts), FIELD(Course, T_LONGLONG, last_pts), FIELD(Course, T_LONGLONG, held),
    FIELD(Course, T_LONGLONG, residuals), FIELD(Course, T_LONGLONG, number), FIELD(Course, T_DOUBLE, first_x),
    FIELD(Course, T_DOUBLE, first_y), FIELD(Course, T_DOUBLE, last_x), FIELD(Course, T_DOUBLE, last_y),
    FIELD(Course, T_DOUBLE, noise), FIELD(Course, T_DOUBLE, x), FIELD(Course, T_DOUBLE, y), FIELD(Course, T_DOUBLE, vx),
    FIELD(Course, T_DOUBLE, vy), FIELD(Course, T_DOUBLE, share), {NULL, 0, 0, 0, NULL},
};

static PyMemberDef side_fields[] = {
    FIELD(Side, T_OBJECT, label), FIELD(Side, T_LONGLONG, seen), FIELD(Side, T_DOUBLE, x), FIELD(Side, T_DOUBLE, y),
    FIELD(Side, T_DOUBLE, distance), FIELD(Side, T_DOUBLE, height), FIELD(Side, T_DOUBLE, home_x),
    FIELD(Side, T_DOUBLE, home_y), FIELD(Side, T_DOUBLE, home_distance), FIELD(Side, T_DOUBLE, strayed),
    FIELD(Side, T_BOOL, home), FIELD(Side, T_BOOL, through), FIELD(Side, T_BOOL, went_in), FIELD(Side, T_BOOL, went_out),
    FIELD(Side, T_BOOL, told), {NULL, 0, 0, 0, NULL},
};

static PyMemberDef visit_fields[] = {
    FIELD(Visit, T_OBJECT, label), FIELD(Visit, T_LONGLONG, seen), FIELD(Visit, T_LONGLONG, since),
    FIELD(Visit, T_DOUBLE, x), FIELD(Visit, T_DOUBLE, y), FIELD(Visit, T_BOOL, inside), FIELD(Visit, T_BOOL, counted),
    {NULL, 0, 0, 0, NULL},
};

static void end(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DecRef((PyObject *)type);
}

static void end_side(PyObject *self)
{
    Py_CLEAR(((Side *)self)->label);
    end(self);
}

static void end_visit(PyObject *self)
{
    Py_CLEAR(((Visit *)self)->label);
    end(self);
}

static PyTypeObject *made(PyObject *module, const char *name, int size, PyMemberDef *fields, destructor dealloc)
{
    PyType_Slot slots[] = {{Py_tp_new, PyType_GenericNew}, {Py_tp_members, fields}, {Py_tp_dealloc, dealloc}, {0, NULL}};
    PyType_Spec spec = {name, size, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    PyObject *type = PyType_FromSpec(&spec);
    if (type == NULL || PyModule_AddObjectRef(module, strrchr(name, '.') + 1, type) < 0)
        return NULL;
    return (PyTypeObject *)type;
}

static int names(PyObject *module)
{
    struct {
        PyObject **place;
        const char *name;
    } all[] = {
        {&s_id, "id"}, {&s_box, "box"}, {&s_detected_box, "detected_box"}, {&s_label, "label"},
        {&s_class_id, "class_id"}, {&s_extras, "extras"}, {&s_analytics, "analytics"}, {&s_zones, "zones"},
        {&s_tolist, "tolist"}, {&s_states, "states"}, {&s_inner, "inner"}, {&s_shape, "shape"},
        {&s_purged, "purged"}, {&s_oldest, "oldest"}, {&s_patience, "patience"},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (*all[k].place == NULL && (*all[k].place = PyUnicode_InternFromString(all[k].name)) == NULL)
            return -1;
    course_type = made(module, "millrace.analytics._steps.Course", sizeof(Course), course_fields, end);
    side_type = made(module, "millrace.analytics._steps.Side", sizeof(Side), side_fields, end_side);
    visit_type = made(module, "millrace.analytics._steps.Visit", sizeof(Visit), visit_fields, end_visit);
    return course_type == NULL || side_type == NULL || visit_type == NULL ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, names}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_steps", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__steps(void) { return PyModuleDef_Init(&definition); }
