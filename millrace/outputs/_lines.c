/* Objects and plain values as JSON text: what outputs/jsonl.py does in Python, to the letter. What is not plain here
(numbers beyond these, odd types, masks, keypoints, …) is handed back to Python, which writes it. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 16 };
enum Answer { FAILED = -1, PLAIN = 0, ODD = 1 }; /* ODD: Python shall write this one */

typedef struct {
    char *data;
    size_t used, size;
} Text;

static PyObject *s_box, *s_label, *s_class_id, *s_confidence, *s_id, *s_labels, *s_extras, *s_analytics, *s_parent,
    *s_text, *s_keypoints, *s_angle, *s_depth, *s_mask, *s_embedding, *s_name, *s_value;

static int add(Text *t, const char *bytes, size_t n)
{
    if (t->used + n > t->size) {
        size_t size = 2 * (t->used + n) + 1024;
        char *data = PyMem_Realloc(t->data, size);
        if (data == NULL) {
            PyErr_NoMemory();
            return FAILED;
        }
        t->data = data;
        t->size = size;
    }
    memcpy(t->data + t->used, bytes, n);
    t->used += n;
    return PLAIN;
}

#define ADD(t, literal) add(t, literal, sizeof(literal) - 1)

/* A number of `places` decimals, 1 to 4: rounded from its exact value, halves to even, as Python's formatting does.

Of a float32 the product with a power of ten of four digits is exact in double precision, so rint rounds what format
would; others are left to Python's own conversion. With `shortest` zeros at the end go, but for one decimal. */
static int number(Text *t, double value, int places, int shortest)
{
    static const double powers[] = {1, 10, 100, 1000, 10000};
    char digits[40];
    int n;
    if (!isfinite(value) || fabs(value) >= 1e9)
        return ODD;
    if ((double)(float)value == value) {
        int64_t whole = (int64_t)rint(fabs(value) * powers[places]), scale = (int64_t)powers[places];
        char reversed[32];
        int64_t rest = whole % scale, front = whole / scale;
        int m = 0;
        for (int k = 0; k < places; k++, rest /= 10)
            reversed[m++] = (char)('0' + rest % 10);
        reversed[m++] = '.';
        do
            reversed[m++] = (char)('0' + front % 10);
        while (front /= 10);
        if (signbit(value))
            reversed[m++] = '-';
        for (n = 0; n < m; n++)
            digits[n] = reversed[m - 1 - n];
    } else {
        char *made = PyOS_double_to_string(value, 'f', places, 0, NULL);
        if (made == NULL)
            return FAILED;
        n = (int)strlen(made);
        memcpy(digits, made, (size_t)n);
        PyMem_Free(made);
    }
    while (shortest && n > 2 && digits[n - 1] == '0' && digits[n - 2] != '.')
        n--;
    return add(t, digits, (size_t)n);
}

static int whole(Text *t, PyObject *value)
{
    char digits[32];
    if (!PyLong_CheckExact(value))
        return ODD;
    int overflow = 0;
    long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return ODD;
    if (n == -1 && PyErr_Occurred())
        return FAILED;
    return add(t, digits, (size_t)snprintf(digits, sizeof digits, "%lld", n));
}

/* Text of printable ASCII without quotes and backslashes. */
static int quoted(Text *t, PyObject *value)
{
    if (!PyUnicode_CheckExact(value))
        return ODD;
    Py_ssize_t n;
    const char *bytes = PyUnicode_AsUTF8AndSize(value, &n);
    if (bytes == NULL) { /* a lone surrogate */
        PyErr_Clear();
        return ODD;
    }
    for (Py_ssize_t k = 0; k < n; k++)
        if (bytes[k] < 0x20 || bytes[k] > 0x7e || bytes[k] == '"' || bytes[k] == '\\')
            return ODD;
    int answer = ADD(t, "\"");
    if (answer == PLAIN)
        answer = add(t, bytes, (size_t)n);
    return answer == PLAIN ? ADD(t, "\"") : answer;
}

static int written(Text *t, PyObject *value, int depth);

static int row(Text *t, PyObject *value, int depth)
{
    int is_list = PyList_CheckExact(value), answer = ADD(t, "[");
    Py_ssize_t n = is_list ? PyList_Size(value) : PyTuple_Size(value);
    for (Py_ssize_t k = 0; k < n && answer == PLAIN; k++) {
        if (k > 0)
            answer = ADD(t, ",");
        if (answer == PLAIN)
            answer = written(t, is_list ? PyList_GetItem(value, k) : PyTuple_GetItem(value, k), depth + 1);
    }
    return answer == PLAIN ? ADD(t, "]") : answer;
}

static int table(Text *t, PyObject *value, int depth)
{
    PyObject *key, *each;
    Py_ssize_t at = 0;
    int answer = ADD(t, "{"), first = 1;
    while (answer == PLAIN && PyDict_Next(value, &at, &key, &each)) {
        if (!first)
            answer = ADD(t, ",");
        first = 0;
        if (answer == PLAIN)
            answer = quoted(t, key);
        if (answer == PLAIN)
            answer = ADD(t, ":");
        if (answer == PLAIN)
            answer = written(t, each, depth + 1);
    }
    return answer == PLAIN ? ADD(t, "}") : answer;
}

static int written(Text *t, PyObject *value, int depth)
{
    if (depth > DEEPEST)
        return ODD;
    if (PyUnicode_CheckExact(value))
        return quoted(t, value);
    if (PyFloat_CheckExact(value))
        return number(t, PyFloat_AsDouble(value), 3, 1);
    if (PyLong_CheckExact(value))
        return whole(t, value);
    if (PyDict_CheckExact(value))
        return table(t, value, depth);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return row(t, value, depth);
    return ODD;
}

static int is_none(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return FAILED;
    Py_DecRef(value);
    return value == Py_None;
}

/* Apply `write` to an attribute. */
static int attribute(Text *t, PyObject *object, PyObject *name, int (*write)(Text *, PyObject *))
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL)
        return FAILED;
    int answer = write(t, value);
    Py_DecRef(value);
    return answer;
}

static int four(Text *t, PyObject *box)
{
    Py_buffer view;
    if (PyObject_GetBuffer(box, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return ODD;
    }
    int answer = ODD;
    if (view.len == 4 * sizeof(float) && view.ndim == 1 && view.format != NULL && strcmp(view.format, "f") == 0) {
        float sides[4];
        memcpy(sides, view.buf, sizeof sides);
        answer = PLAIN;
        for (int k = 0; k < 4 && answer == PLAIN; k++) {
            if (k > 0)
                answer = ADD(t, ",");
            if (answer == PLAIN)
                answer = number(t, sides[k], 2, 0);
        }
    }
    PyBuffer_Release(&view);
    return answer;
}

static int sure(Text *t, PyObject *value)
{
    return PyFloat_CheckExact(value) ? number(t, PyFloat_AsDouble(value), 4, 0) : ODD;
}

static int sure_shortly(Text *t, PyObject *value)
{
    return PyFloat_CheckExact(value) ? number(t, PyFloat_AsDouble(value), 4, 1) : ODD;
}

static int identity(Text *t, PyObject *value) { return value == Py_None ? ADD(t, "null") : whole(t, value); }

#define STEP(what)                \
    do {                          \
        int answer_ = (what);     \
        if (answer_ != PLAIN)     \
            return answer_;       \
    } while (0)

static int analytics(Text *t, PyObject *extras)
{
    if (!PyDict_CheckExact(extras))
        return ODD;
    PyObject *said = PyDict_GetItemWithError(extras, s_analytics);
    if (said == NULL)
        return PyErr_Occurred() ? FAILED : PLAIN;
    Py_IncRef(said); /* its truth may be code, which may change the dictionary */
    int there = PyObject_IsTrue(said), answer = there < 0 ? FAILED : PLAIN;
    if (there > 0)
        answer = ADD(t, ",\"analytics\":");
    if (there > 0 && answer == PLAIN)
        answer = written(t, said, 0);
    Py_DecRef(said);
    return answer;
}

static int label_of(Text *t, PyObject *label)
{
    STEP(ADD(t, "{\"name\":"));
    STEP(attribute(t, label, s_name, quoted));
    STEP(ADD(t, ",\"value\":"));
    STEP(attribute(t, label, s_value, quoted));
    STEP(ADD(t, ",\"confidence\":"));
    STEP(attribute(t, label, s_confidence, sure_shortly));
    return ADD(t, "}");
}

static int labels(Text *t, PyObject *list)
{
    if (!PyList_CheckExact(list))
        return ODD;
    if (PyList_Size(list) == 0)
        return PLAIN;
    STEP(ADD(t, ",\"labels\":["));
    for (Py_ssize_t k = 0; k < PyList_Size(list); k++) { /* attributes may be code, which may change the list */
        PyObject *label = PyList_GetItem(list, k);
        Py_IncRef(label);
        int answer = k > 0 ? ADD(t, ",") : PLAIN;
        if (answer == PLAIN)
            answer = label_of(t, label);
        Py_DecRef(label);
        STEP(answer);
    }
    return ADD(t, "]");
}

static int object_of(Text *t, PyObject *found)
{
    PyObject *nothing[] = {s_parent, s_text, s_keypoints, s_angle, s_depth, s_mask, s_embedding};
    for (size_t k = 0; k < sizeof nothing / sizeof *nothing; k++) {
        int none = is_none(found, nothing[k]);
        if (none <= 0)
            return none < 0 ? FAILED : ODD;
    }
    STEP(ADD(t, "{\"box\":["));
    STEP(attribute(t, found, s_box, four));
    STEP(ADD(t, "],\"label\":"));
    STEP(attribute(t, found, s_label, quoted));
    STEP(ADD(t, ",\"class_id\":"));
    STEP(attribute(t, found, s_class_id, whole));
    STEP(ADD(t, ",\"confidence\":"));
    STEP(attribute(t, found, s_confidence, sure));
    STEP(ADD(t, ",\"id\":"));
    STEP(attribute(t, found, s_id, identity));
    STEP(attribute(t, found, s_extras, analytics));
    STEP(attribute(t, found, s_labels, labels));
    return ADD(t, "}");
}

/* Add the ASCII text that Python makes of a value. */
static int by_python(Text *t, PyObject *function, PyObject *value)
{
    PyObject *made = PyObject_CallFunctionObjArgs(function, value, NULL);
    if (made == NULL)
        return FAILED;
    Py_ssize_t n;
    const char *bytes = PyUnicode_AsUTF8AndSize(made, &n);
    int answer = bytes == NULL ? FAILED : add(t, bytes, (size_t)n);
    Py_DecRef(made);
    return answer;
}

static PyObject *given(Text *t, int answer)
{
    PyObject *out = answer == FAILED ? NULL : PyUnicode_FromStringAndSize(t->data, (Py_ssize_t)t->used);
    PyMem_Free(t->data);
    return out;
}

static PyObject *objects(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *list, *odd;
    if (!PyArg_ParseTuple(args, "O!O:objects", &PyList_Type, &list, &odd))
        return NULL;
    Text t = {NULL, 0, 0};
    int answer = PLAIN;
    for (Py_ssize_t k = 0; k < PyList_Size(list) && answer == PLAIN; k++) {
        PyObject *found = PyList_GetItem(list, k);
        Py_IncRef(found);
        if (k > 0)
            answer = ADD(&t, ",");
        size_t before = t.used;
        if (answer == PLAIN)
            answer = object_of(&t, found);
        if (answer == ODD) {
            t.used = before;
            answer = by_python(&t, odd, found);
        }
        Py_DecRef(found);
    }
    return given(&t, answer);
}

static PyObject *compact(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *value, *odd;
    if (!PyArg_ParseTuple(args, "OO:compact", &value, &odd))
        return NULL;
    Text t = {NULL, 0, 0};
    int answer = written(&t, value, 0);
    if (answer == ODD) {
        t.used = 0;
        answer = by_python(&t, odd, value);
    }
    return given(&t, answer);
}

static PyMethodDef methods[] = {
    {"objects", objects, METH_VARARGS,
     "objects(list, odd)\n\nThe objects of a frame as JSON, with commas between; odd(found) writes what is not plain."},
    {"compact", compact, METH_VARARGS,
     "compact(value, odd)\n\nA value as JSON without spaces, numbers to a thousandth; odd(value) writes one not plain."},
    {NULL, NULL, 0, NULL},
};

static int names(PyObject *module)
{
    (void)module;
    struct {
        PyObject **place;
        const char *name;
    } all[] = {
        {&s_box, "box"}, {&s_label, "label"}, {&s_class_id, "class_id"}, {&s_confidence, "confidence"}, {&s_id, "id"},
        {&s_labels, "labels"}, {&s_extras, "extras"}, {&s_analytics, "analytics"}, {&s_parent, "parent"},
        {&s_text, "text"}, {&s_keypoints, "keypoints"}, {&s_angle, "angle"}, {&s_depth, "depth"}, {&s_mask, "mask"},
        {&s_embedding, "embedding"}, {&s_name, "name"}, {&s_value, "value"},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (*all[k].place == NULL && (*all[k].place = PyUnicode_InternFromString(all[k].name)) == NULL)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, names}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_lines", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lines(void) { return PyModuleDef_Init(&definition); }
