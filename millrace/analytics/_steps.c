/* What analytics does for every object of every frame, while nothing happens: paths.py, lines.py and zones.py in C, to
the bit. Python keeps the state; what may become an event is handed back to it. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>

/* The constants of paths.py. */
#define GAIN 0.12
#define FIRST 4
#define SETTLE 500000000LL
#define STEADY 0.01
#define HIGH 8
#define JUMP 0.5

static PyObject *s_places, *s_noise, *s_residuals, *s_x, *s_y, *s_vx, *s_vy, *s_number, *s_share, *s_append, *s_clear,
    *s_popleft, *s_home, *s_distance, *s_point, *s_seen, *s_height, *s_at_home, *s_told, *s_inside, *s_label, *s_depth;

typedef struct {
    PyObject *key, *label; /* borrowed */
    double x, y, height;   /* the middle of the lower side */
} Foot;

/* A Sighting: (id, label, x1, y1, x2, y2, …). */
static int foot_of(PyObject *seen, Foot *out)
{
    double v[4];
    if (!PyTuple_Check(seen) || PyTuple_Size(seen) < 6) {
        PyErr_SetString(PyExc_TypeError, "a sighting is a tuple of id, label, x1, y1, x2, y2");
        return -1;
    }
    for (int k = 0; k < 4; k++) {
        v[k] = PyFloat_AsDouble(PyTuple_GetItem(seen, 2 + k));
        if (v[k] == -1.0 && PyErr_Occurred())
            return -1;
    }
    out->key = PyTuple_GetItem(seen, 0);
    out->label = PyTuple_GetItem(seen, 1);
    out->x = (v[0] + v[2]) / 2;
    out->y = v[3];
    out->height = v[3] - v[1];
    return 0;
}

static int get_float(PyObject *object, PyObject *name, double *out)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return -1;
    *out = PyFloat_AsDouble(value);
    Py_DecRef(value);
    return *out == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static int get_int(PyObject *object, PyObject *name, long long *out)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return -1;
    *out = PyLong_AsLongLong(value);
    Py_DecRef(value);
    return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Set an attribute to a new reference, which is given up. */
static int give(PyObject *object, PyObject *name, PyObject *value)
{
    if (value == NULL)
        return -1;
    int answer = PyObject_SetAttr(object, name, value);
    Py_DecRef(value);
    return answer;
}

static int give_float(PyObject *object, PyObject *name, double value)
{
    return give(object, name, PyFloat_FromDouble(value));
}

static PyObject *point_of(const Foot *foot)
{
    PyObject *x = PyFloat_FromDouble(foot->x), *y = PyFloat_FromDouble(foot->y), *out = NULL;
    if (x != NULL && y != NULL)
        out = PyTuple_Pack(2, x, y);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return out;
}

static int call(PyObject *object, PyObject *name, PyObject *argument)
{
    PyObject *answer = PyObject_CallMethodObjArgs(object, name, argument, NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

typedef struct {
    long long pts;
    double x, y;
} Spot;

/* Times beyond these have differences that 64 bits do not hold: nobody's clock is there (73 years in ns). */
static int is_time(long long pts)
{
    if (pts > -(1LL << 61) && pts < (1LL << 61))
        return 1;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_OverflowError, "pts %lld is no time in ns of a stream", pts);
    return 0;
}

/* Place `at` of a deque of (pts, (x, y), ground, height). */
static int spot_of(PyObject *places, Py_ssize_t at, Spot *out)
{
    PyObject *place = PySequence_GetItem(places, at), *point;
    int answer = -1;
    if (place == NULL)
        return -1;
    if (PyTuple_Check(place) && PyTuple_Size(place) >= 2 && PyTuple_Check(point = PyTuple_GetItem(place, 1)) &&
        PyTuple_Size(point) == 2) {
        out->pts = PyLong_AsLongLong(PyTuple_GetItem(place, 0));
        out->x = PyFloat_AsDouble(PyTuple_GetItem(point, 0));
        out->y = PyFloat_AsDouble(PyTuple_GetItem(point, 1));
        answer = PyErr_Occurred() || !is_time(out->pts) ? -1 : 0;
    } else {
        PyErr_SetString(PyExc_TypeError, "a place is (pts, (x, y), ground, height)");
    }
    Py_DecRef(place);
    return answer;
}

/* Path._learn: 1 when it has jumped. */
static int learn(PyObject *path, const Spot *first, const Spot *last, const Foot *now, long long pts, double *noise,
                 long long *residuals)
{
    long long step = last->pts - first->pts;
    if (step <= 0 || (pts - last->pts - 1) / 5 >= step) /* more than five steps */
        return 0;
    double k = (double)(pts - last->pts) / (double)step;
    double x = now->x - last->x - k * (last->x - first->x), y = now->y - last->y - k * (last->y - first->y);
    double varies = 1 + pow(1 + k, 2.0) + k * k, far = x * x + y * y;
    if (far > pow(JUMP * now->height, 2.0) && far > 18 * varies * *noise)
        return 1;
    double found = far / (2 * varies);
    *residuals += 1;
    if (*residuals <= FIRST) {
        *noise += (found - *noise) / (double)*residuals;
    } else {
        double most = HIGH * *noise + 1e-6;
        *noise += GAIN * ((most < found ? most : found) - *noise);
    }
    if (give_float(path, s_noise, *noise) < 0 || give(path, s_residuals, PyLong_FromLongLong(*residuals)) < 0)
        return -1;
    return 0;
}

/* Path._follow; `step` is the time since the last place, 0 where there is none. The line's end and share come back. */
static int follow(PyObject *path, const Foot *now, long long step, double *at_x, double *at_y, double *share)
{
    double x, y, vx, vy;
    long long number;
    if (step <= 0) {
        x = now->x, y = now->y, vx = vy = 0.0, number = 1, *share = 1.0;
    } else {
        if (get_float(path, s_x, &x) < 0 || get_float(path, s_y, &y) < 0 || get_float(path, s_vx, &vx) < 0 ||
            get_float(path, s_vy, &vy) < 0 || get_int(path, s_number, &number) < 0)
            return -1;
        number++;
        long long most = SETTLE / step > 4 ? SETTLE / step : 4, n = number < most ? number : most;
        double g = (double)(2 * (2 * n - 1)) / (double)(n * (n + 1)), h = 6.0 / (double)(n * (n + 1));
        *share = number <= most ? g : (2 * g * g + h * (2 - 3 * g)) / (g * (4 - 2 * g - h));
        double turn = h / (double)step;
        double off_x = now->x - x - vx * (double)step, off_y = now->y - y - vy * (double)step;
        x = now->x - (1 - g) * off_x, y = now->y - (1 - g) * off_y;
        vx = vx + turn * off_x, vy = vy + turn * off_y;
    }
    *at_x = x, *at_y = y;
    if (give_float(path, s_x, x) < 0 || give_float(path, s_y, y) < 0 || give_float(path, s_vx, vx) < 0 ||
        give_float(path, s_vy, vy) < 0 || give(path, s_number, PyLong_FromLongLong(number)) < 0 ||
        give_float(path, s_share, *share) < 0)
        return -1;
    return 0;
}

/* Append Place(pts, point, None, height) and forget what is older than the window. */
static int remember(PyObject *places, const Foot *now, long long pts, long long window, PyObject *kind, newfunc make)
{
    PyObject *numbers[] = {PyLong_FromLongLong(pts), point_of(now), Py_NewRef(Py_None), PyFloat_FromDouble(now->height)};
    PyObject *tuple = NULL, *arguments = NULL, *place = NULL;
    int answer = -1;
    if (numbers[0] != NULL && numbers[1] != NULL && numbers[3] != NULL)
        tuple = PyTuple_Pack(4, numbers[0], numbers[1], numbers[2], numbers[3]);
    if (tuple != NULL)
        arguments = PyTuple_Pack(1, tuple);
    if (arguments != NULL)
        place = make((PyTypeObject *)kind, arguments, NULL);
    if (place != NULL)
        answer = call(places, s_append, place);
    for (int k = 0; k < 4; k++)
        Py_XDECREF(numbers[k]);
    Py_XDECREF(tuple);
    Py_XDECREF(arguments);
    Py_XDECREF(place);
    Spot oldest;
    while (answer == 0 && PySequence_Size(places) > 3) {
        answer = spot_of(places, 0, &oldest);
        if (answer < 0 || oldest.pts >= pts - window)
            break;
        answer = call(places, s_popleft, NULL);
    }
    return answer;
}

/* One sighting: Path.add, and where it should be (*moved: else it stays). */
static int walk(PyObject *path, const Foot *now, long long pts, long long window, PyObject *kind, newfunc make,
                int *moved, double *off_x, double *off_y, double *doubt)
{
    PyObject *places = PyObject_GetAttr(path, s_places);
    if (places == NULL)
        return -1;
    double noise = 0, at_x = 0, at_y = 0, share = 1;
    long long residuals = 0, step = 0;
    Spot first, last;
    Py_ssize_t n = PySequence_Size(places);
    int answer = n < 0 || get_float(path, s_noise, &noise) < 0 || get_int(path, s_residuals, &residuals) < 0 ? -1 : 0;
    if (answer == 0 && n > 0)
        answer = spot_of(places, n - 1, &last);
    if (answer == 0 && n > 1) {
        answer = spot_of(places, n - 2, &first);
        if (answer == 0)
            answer = learn(path, &first, &last, now, pts, &noise, &residuals);
        if (answer == 1) {
            n = 0;
            answer = call(places, s_clear, NULL);
        }
    }
    if (answer == 0 && n > 0)
        step = pts - last.pts;
    if (answer == 0)
        answer = follow(path, now, step, &at_x, &at_y, &share);
    if (answer == 0)
        answer = remember(places, now, pts, window, kind, make);
    Py_DecRef(places);
    if (answer < 0)
        return -1;
    *doubt = residuals >= FIRST ? sqrt(noise) : 0.0;
    *moved = *doubt > STEADY * now->height;
    if (*moved) {
        *off_x = at_x - now->x, *off_y = at_y - now->y;
        *doubt *= sqrt(share);
    }
    return 0;
}

static PyObject *paths(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *known, *seen, *fresh, *kind, *shifted;
    long long pts, window;
    if (!PyArg_ParseTuple(args, "O!O!LLOOO:paths", &PyDict_Type, &known, &PyList_Type, &seen, &pts, &window, &fresh,
                          &kind, &shifted))
        return NULL;
    if (!is_time(pts) || !is_time(window))
        return NULL;
    newfunc make = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    if (make == NULL || !PyType_Check(kind) || !PyType_IsSubtype((PyTypeObject *)kind, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "paths: places are tuples");
        return NULL;
    }
    Py_ssize_t n = PyList_Size(seen);
    PyObject *out = PyList_New(n);
    for (Py_ssize_t k = 0; out != NULL && k < n; k++) {
        PyObject *found = PyList_GetItem(seen, k), *path, *after = NULL;
        Foot now;
        int moved = 0;
        double off_x = 0, off_y = 0, doubt;
        if (found == NULL || foot_of(found, &now) < 0)
            goto failed;
        path = PyDict_GetItemWithError(known, now.key);
        if (path != NULL)
            Py_IncRef(path);
        else if (PyErr_Occurred() || (path = PyObject_CallNoArgs(fresh)) == NULL)
            goto failed;
        else if (PyDict_SetItem(known, now.key, path) < 0) {
            Py_DecRef(path);
            goto failed;
        }
        if (walk(path, &now, pts, window, kind, make, &moved, &off_x, &off_y, &doubt) == 0)
            after = moved ? PyObject_CallFunction(shifted, "Oddd", found, off_x, off_y, doubt) : Py_NewRef(found);
        Py_DecRef(path);
        if (after == NULL || PyList_SetItem(out, k, after) < 0)
            goto failed;
    }
    return out;
failed:
    Py_XDECREF(out);
    return NULL;
}

/* 1, 0, or -1 on error: whether an attribute is true. */
static int truth(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return -1;
    int answer = PyObject_IsTrue(value);
    Py_DecRef(value);
    return answer;
}

/* 1, 0, or -1 on error: whether a sighting of the same identity is in `rest`. What comes after it in the frame must wait
for it: one identity may stand in a frame twice. As a rule `rest` is empty. */
static int waits(PyObject *rest, PyObject *key)
{
    for (Py_ssize_t k = 0; k < PyList_Size(rest); k++) {
        int same = PyObject_RichCompareBool(PyTuple_GetItem(PyList_GetItem(rest, k), 0), key, Py_EQ);
        if (same != 0)
            return same;
    }
    return 0;
}

static PyObject *line(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *known, *seen, *pts;
    double x1, y1, x2, y2, length;
    if (!PyArg_ParseTuple(args, "O!O!O(dd)(dd)d:line", &PyDict_Type, &known, &PyList_Type, &seen, &pts, &x1, &y1, &x2,
                          &y2, &length))
        return NULL;
    double along_x = x2 - x1, along_y = y2 - y1;
    PyObject *rest = PyList_New(0);
    for (Py_ssize_t k = 0; rest != NULL && k < PyList_Size(seen); k++) {
        PyObject *found = PyList_GetItem(seen, k);
        Foot now;
        if (foot_of(found, &now) < 0)
            goto failed;
        PyObject *path = PyDict_GetItemWithError(known, now.key);
        if (path == NULL && PyErr_Occurred())
            goto failed;
        double distance = (along_x * (now.y - y1) - along_y * (now.x - x1)) / length, before = 0;
        int home = path == NULL ? -2 : truth(path, s_home);
        if (home == -1 || (path != NULL && get_float(path, s_distance, &before) < 0))
            goto failed;
        int later = path == NULL ? 1 : waits(rest, now.key);
        if (later < 0)
            goto failed;
        if (later || (distance > 0) != home || (distance > 0) != (before > 0)) {
            if (PyList_Append(rest, found) < 0)
                goto failed;
            continue;
        }
        PyObject *point = point_of(&now), *far = PyFloat_FromDouble(distance), *both = NULL;
        if (point != NULL && far != NULL)
            both = PyTuple_Pack(2, point, far);
        int bad = both == NULL || PyObject_SetAttr(path, s_point, point) < 0 ||
                  PyObject_SetAttr(path, s_distance, far) < 0 || PyObject_SetAttr(path, s_at_home, both) < 0 ||
                  PyObject_SetAttr(path, s_seen, pts) < 0 || give_float(path, s_height, now.height) < 0 ||
                  PyObject_SetAttr(path, s_told, Py_False) < 0;
        Py_XDECREF(point);
        Py_XDECREF(far);
        Py_XDECREF(both);
        if (bad)
            goto failed;
    }
    return rest;
failed:
    Py_XDECREF(rest);
    return NULL;
}

enum { EDGES = 64 };

static PyObject *zone(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *known, *seen, *pts, *polygon;
    double left, top, right, bottom, edges[EDGES][4];
    if (!PyArg_ParseTuple(args, "O!O!OO!(dddd):zone", &PyDict_Type, &known, &PyList_Type, &seen, &pts, &PyList_Type,
                          &polygon, &left, &top, &right, &bottom))
        return NULL;
    Py_ssize_t count = PyList_Size(polygon);
    if (count > EDGES)
        return Py_NewRef(seen); /* all of it to Python */
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject *edge = PyList_GetItem(polygon, k);
        if (!PyArg_ParseTuple(edge, "(dd)(dd)", &edges[k][0], &edges[k][1], &edges[k][2], &edges[k][3]))
            return NULL;
    }
    PyObject *rest = PyList_New(0);
    for (Py_ssize_t k = 0; rest != NULL && k < PyList_Size(seen); k++) {
        PyObject *found = PyList_GetItem(seen, k);
        Foot now;
        if (foot_of(found, &now) < 0)
            goto failed;
        PyObject *visit = PyDict_GetItemWithError(known, now.key);
        if (visit == NULL && PyErr_Occurred())
            goto failed;
        int inside = visit == NULL ? -2 : truth(visit, s_inside), there = 0;
        if (inside == -1)
            goto failed;
        int near = left <= now.x && now.x <= right && top <= now.y && now.y <= bottom;
        for (Py_ssize_t e = 0; inside == 1 && e < count; e++) {
            double x1 = edges[e][0], y1 = edges[e][1], x2 = edges[e][2], y2 = edges[e][3];
            if ((y1 > now.y) != (y2 > now.y) && now.x < x1 + (x2 - x1) * (now.y - y1) / (y2 - y1))
                there = !there;
        }
        int later = visit == NULL ? 1 : waits(rest, now.key);
        if (later < 0)
            goto failed;
        if (later || (inside ? !there : near)) { /* not plainly where it was */
            if (PyList_Append(rest, found) < 0)
                goto failed;
            continue;
        }
        if (PyObject_SetAttr(visit, s_label, now.label) < 0 || PyObject_SetAttr(visit, s_seen, pts) < 0 ||
            give(visit, s_point, point_of(&now)) < 0 || give_float(visit, s_depth, inside ? 1.0 : -1.0) < 0)
            goto failed;
    }
    return rest;
failed:
    Py_XDECREF(rest);
    return NULL;
}

static PyMethodDef methods[] = {
    {"paths", paths, METH_VARARGS,
     "paths(known, seen, pts, window, fresh, kind, shifted)\n\nPaths.update without a floor plan: the sightings after "
     "it. fresh() makes a path, kind is Place, shifted(found, x, y, doubt) moves a sighting."},
    {"line", line, METH_VARARGS,
     "line(paths, seen, pts, start, end, length)\n\nThe sightings that are new, or change sides: LineCounter does those."},
    {"zone", zone, METH_VARARGS,
     "zone(visits, seen, pts, edges, bounds)\n\nThe sightings that are new, or not plainly where they were."},
    {NULL, NULL, 0, NULL},
};

static int names(PyObject *module)
{
    (void)module;
    struct {
        PyObject **place;
        const char *name;
    } all[] = {
        {&s_places, "places"}, {&s_noise, "noise"}, {&s_residuals, "residuals"}, {&s_x, "x"}, {&s_y, "y"},
        {&s_vx, "vx"}, {&s_vy, "vy"}, {&s_number, "number"}, {&s_share, "share"}, {&s_append, "append"},
        {&s_clear, "clear"}, {&s_popleft, "popleft"}, {&s_home, "home"}, {&s_distance, "distance"},
        {&s_point, "point"}, {&s_seen, "seen"}, {&s_height, "height"}, {&s_at_home, "at_home"}, {&s_told, "told"},
        {&s_inside, "inside"}, {&s_label, "label"}, {&s_depth, "depth"},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (*all[k].place == NULL && (*all[k].place = PyUnicode_InternFromString(all[k].name)) == NULL)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, names}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_steps", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__steps(void) { return PyModuleDef_Init(&definition); }
